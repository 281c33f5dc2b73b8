//! Child processes that cannot outlive the test, and their output as events.
//!
//! A Salt master is a tree of ten processes and a test can end by a panic, a Ctrl-C or `kill -9`.
//! So each program runs in a process group led by a guard, a shell that waits for the end of its
//! standard input and then kills the group; the kernel closes that input however we end. Killing by
//! name would reach the neighbour's processes, and a process id of our own child may be reused
//! after it was reaped; the group's id can't, because the guard is reaped last.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long a test waits for an event before it fails; only a failing test ever waits this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running program and everything that it started.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    child: Child,
    log: Log,
}

impl Process {
    /// Starts the program in a group of its own and follows its output.
    ///
    /// # Errors
    ///
    /// Fails if the program cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// The same, and gives what writes to the program's standard input.
    ///
    /// # Errors
    ///
    /// As [`Process::start`].
    pub fn interactive(command: &mut Command) -> Result<(Self, ChildStdin)> {
        let mut process = Self::spawn(command.stdin(Stdio::piped()))?;
        let input = process.child.stdin.take().context("no standard input")?;
        Ok((process, input))
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let mut guard = Command::new("/bin/sh")
            .args(["-c", "cat >/dev/null; kill -KILL 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("failed to start the guard of a process group")?;
        let started = pid(&guard).and_then(|group| {
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(group.as_raw())
                .spawn()
                .with_context(|| format!("failed to start {command:?}"))
        });
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                end_group(&mut guard);
                return Err(error);
            }
        };
        let log = Log::default();
        log.follow(child.stdout.take());
        log.follow(child.stderr.take());
        Ok(Self { guard, child, log })
    }

    /// What the program and its children have written so far, to either output.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// The process id of the program itself.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program, and only it, to end.
    ///
    /// # Errors
    ///
    /// Fails if the program is gone.
    pub fn terminate(&self) -> Result<()> {
        kill(pid(&self.child)?, Signal::SIGTERM).context("failed to send SIGTERM")
    }

    /// Stops the program and everything that it started, as a hang does: nothing is closed, nothing
    /// is answered. The guard goes on watching.
    ///
    /// # Errors
    ///
    /// Fails if one of them is not stopped in the end.
    pub fn stop(&self) -> Result<()> {
        self.signal_all(Signal::SIGSTOP, |state| state == 'T')
    }

    /// Lets all of them go on.
    ///
    /// # Errors
    ///
    /// Fails if one of them is still stopped in the end.
    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::SIGCONT, |state| state != 'T')
    }

    /// The ids of the program and everything that it started and that still runs.
    ///
    /// # Errors
    ///
    /// Fails if `/proc` can't be read.
    pub fn ids(&self) -> Result<Vec<i32>> {
        let members = self.members()?;
        Ok(members.into_iter().map(|(id, _)| id.as_raw()).collect())
    }

    /// Whether none of them is left.
    ///
    /// # Errors
    ///
    /// Fails if `/proc` can't be read.
    pub fn is_gone(&self) -> Result<bool> {
        Ok(self.members()?.is_empty())
    }

    fn signal_all(&self, signal: Signal, reached: impl Fn(char) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        // A process that forks while it is stopped leaves a child that is not: again until all are.
        loop {
            let members = self.members()?;
            ensure!(!members.is_empty(), "there is no process left to {signal}");
            if members.iter().all(|(_, state)| reached(*state)) {
                return Ok(());
            }
            for (member, _) in &members {
                // Fails for one that has just ended, which the next look will not find.
                let _ = kill(*member, signal);
            }
            ensure!(
                Instant::now() < end,
                "{signal} has not reached all of {members:?}"
            );
            thread::yield_now();
        }
    }

    /// The processes of the group, without the guard, and the state of each.
    fn members(&self) -> Result<Vec<(Pid, char)>> {
        let (group, mut members) = (self.guard.id(), Vec::new());
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(Ok(id)) = name.to_str().map(str::parse::<u32>) else {
                continue;
            };
            // What has ended since the directory was read is nobody's.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // proc(5): the name is in parentheses, and may have some itself.
            let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
            let mut fields = fields.unwrap_or_default().split_whitespace();
            let state = fields.next().and_then(|state| state.chars().next());
            let (parent, leader) = (fields.next(), fields.next());
            let is_guards = id == group || parent == Some(&group.to_string());
            let state = state.context("a process has no state")?;
            // A zombie does nothing any more and can't be signalled.
            let is_alive = !matches!(state, 'Z' | 'X');
            if leader == Some(&group.to_string()) && is_alive && !is_guards {
                members.push((Pid::from_raw(i32::try_from(id)?), state));
            }
        }
        Ok(members)
    }

    /// Waits for the program's own end.
    ///
    /// # Errors
    ///
    /// Fails if the program still holds its output open when the patience is over.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.log.wait_for_end()?;
        self.child
            .wait()
            .context("failed to wait for a child process")
    }

    /// Sends SIGKILL to the program and everything that it started, and waits for none of them: for
    /// whoever measures what follows, because a big program takes long to die.
    pub fn send_kill(&mut self) {
        end_group(&mut self.guard);
    }

    /// Kills the program and everything that it started, as a power cut would.
    pub fn kill(&mut self) {
        self.send_kill();
        // The group is dead; this only takes the exit status, so that no zombie is left.
        let _ = self.child.wait();
        // Its grandchildren are somebody else's to wait for, and take a moment to die.
        let end = Instant::now() + PATIENCE;
        while matches!(self.is_gone(), Ok(false)) && Instant::now() < end {
            thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines that a process group has written.
#[derive(Clone, Default)]
pub struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Default)]
struct Content {
    lines: Vec<String>,
    /// How many outputs are still open.
    open: usize,
}

impl Content {
    fn change_open(&mut self, by: isize) {
        self.open = self.open.saturating_add_signed(by);
    }
}

impl Log {
    /// Waits until a line contains `text`, and gives that line.
    ///
    /// # Errors
    ///
    /// Fails with the last lines of the log if the patience ends or all writers have.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.wait_for_after(0, text)
    }

    /// The same, for lines from number `start` on: see [`Log::len`].
    ///
    /// # Errors
    ///
    /// As [`Log::wait_for`].
    pub fn wait_for_after(&self, start: usize, text: &str) -> Result<String> {
        self.wait_until(|content| {
            let mut lines = content.lines.iter().skip(start);
            lines.find(|line| line.contains(text)).cloned()
        })
        .with_context(|| format!("waited for a line with {text:?}"))
    }

    fn wait_for_end(&self) -> Result<()> {
        self.wait_until(|content| (content.open == 0).then_some(()))
            .context("waited for the end of the output")
    }

    fn wait_until<T>(&self, find: impl Fn(&Content) -> Option<T>) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        let mut content = self.lock();
        loop {
            if let Some(found) = find(&content) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || content.open == 0 {
                let tail = content.lines.len().saturating_sub(60);
                let tail: Vec<&str> = content
                    .lines
                    .iter()
                    .skip(tail)
                    .map(String::as_str)
                    .collect();
                bail!("it did not come; the end of the log:\n{}", tail.join("\n"));
            }
            content = self
                .0
                .changed
                .wait_timeout(content, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// How many lines contain `text`.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        let content = self.lock();
        content
            .lines
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    /// How many lines there are: a mark for [`Log::wait_for_after`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// Reads an output in a thread of its own, which ends with the last process that holds it open.
    fn follow(&self, output: Option<impl Read + Send + 'static>) {
        let Some(output) = output else { return };
        self.lock().change_open(1);
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                log.lock().lines.push(line);
                log.0.changed.notify_all();
            }
            log.lock().change_open(-1);
            log.0.changed.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // A panic elsewhere leaves whole lines behind.
        self.0
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} lines)", self.len())
    }
}

/// Removes a directory when this process has ended, however it ended; for what lives as long as
/// the whole test binary.
///
/// # Errors
///
/// Fails if no shell can be started.
pub fn remove_at_end(directory: &Path) -> Result<()> {
    // Others are being killed at the same moment and may still write.
    let mut reaper = Command::new("/bin/sh")
        .args([
            "-c",
            "cat >/dev/null; until rm -rf -- \"$0\" 2>/dev/null; do sleep 0.1; done",
        ])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("failed to start what cleans up")?;
    // Held open until we end.
    static HELD: Mutex<Vec<ChildStdin>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.extend(reaper.stdin.take());
    Ok(())
}

/// Runs a program to its end, at most for [`PATIENCE`], and gives its standard output.
///
/// # Errors
///
/// Fails with both outputs if the program can't be started, fails, or takes too long.
pub fn run(command: &Command) -> Result<String> {
    let (status, output, complaints) = attempt(command)?;
    if !status.success() {
        bail!("{command:?}: {status}\n{output}{complaints}");
    }
    Ok(output)
}

/// Runs a program to its end and gives its exit status, standard output and standard error.
///
/// # Errors
///
/// Fails if the program can't be started.
pub fn attempt(command: &Command) -> Result<(ExitStatus, String, String)> {
    // `timeout` makes the program its own process group and kills all of it.
    let mut timed = Command::new("timeout");
    timed
        .arg("--kill-after=5")
        .arg(PATIENCE.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        timed.current_dir(directory);
    }
    let output = timed
        .output()
        .with_context(|| format!("failed to run {command:?}"))?;
    Ok((
        output.status,
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

fn end_group(guard: &mut Child) {
    // Once the guard was reaped the group is dead and its id may be somebody else's.
    if let (Ok(None), Ok(group)) = (guard.try_wait(), pid(guard)) {
        // Fails only if the group is gone, which is what we want.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let _ = guard.wait();
}

fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}
