//! A PIN from the standard output of a program.
//!
//! The program runs in a process group of its own, so that killing it at the deadline takes along
//! whatever it started; a child that holds the pipe open would otherwise hold up the service.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::{Error, LONGEST, bounded};

/// What the program prints, if it ends well and in time.
pub(super) fn output(argv: &[String], deadline: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::Locked);
    };
    let failed = |source| Error::Command {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let (content, late) = collect(&mut child, deadline).map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    if late {
        return Err(Error::CommandLate {
            program: program.clone(),
            deadline,
        });
    }
    if status.success() {
        Ok(content)
    } else {
        Err(Error::CommandFailed {
            program: program.clone(),
            status,
        })
    }
}

fn collect(child: &mut Child, deadline: Duration) -> io::Result<(Zeroizing<Vec<u8>>, bool)> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let group = Pid::from_raw(pid);
    let stdout = child.stdout.take();
    std::thread::scope(|scope| {
        let (done, ended) = sync_channel(0);
        let watchdog = scope.spawn(move || kill_when_late(&ended, group, deadline));
        let mut content = Zeroizing::new(Vec::with_capacity(LONGEST.saturating_add(2)));
        let read = stdout.map_or(Ok(0), |stdout| bounded(stdout).read_to_end(&mut content));
        // The process is left unreaped until the watchdog is gone, so the group's number cannot be
        // another's.
        let waited = waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        drop(done);
        let late = watchdog.join().unwrap_or(true);
        read?;
        waited?;
        Ok((content, late))
    })
}

/// Waits for the sender to be dropped.
fn kill_when_late(ended: &Receiver<()>, group: Pid, deadline: Duration) -> bool {
    let late = ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout);
    if late {
        // It may have ended in this moment; then there is nobody to kill.
        let _ = killpg(group, Signal::SIGKILL);
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standard_output_counts() {
        let content = shell("echo no >&2; printf 1234", MINUTE).unwrap();
        assert_eq!(content.as_slice(), b"1234");
    }

    #[test]
    fn no_shell_reads_the_arguments() {
        let argv = ["/bin/echo", "$HOME; true"].map(str::to_owned);
        let content = output(&argv, MINUTE).unwrap();
        assert_eq!(content.as_slice(), b"$HOME; true\n");
    }

    #[test]
    fn a_failing_program_gives_no_pin() {
        let refused = shell("printf 1234; exit 3", MINUTE);
        assert!(matches!(refused, Err(Error::CommandFailed { .. })));
    }

    #[test]
    fn a_missing_program_is_named_without_its_arguments() {
        let argv = ["/nonexistent/pin", "hunter2"].map(str::to_owned);
        let error = output(&argv, MINUTE).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/pin"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_late_program_is_killed_with_its_children() {
        let refused = shell("sleep 600 & sleep 600", Duration::from_millis(100));
        assert!(matches!(refused, Err(Error::CommandLate { .. })));
    }

    #[test]
    fn a_program_that_closes_its_output_and_stays_is_late() {
        let refused = shell("exec >&-; sleep 600", Duration::from_millis(100));
        assert!(matches!(refused, Err(Error::CommandLate { .. })));
    }

    #[test]
    fn endless_output_ends_by_the_deadline_at_the_latest() {
        assert!(shell("yes", Duration::from_secs(5)).is_err());
    }

    fn shell(script: &str, deadline: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        output(&argv, deadline)
    }

    const MINUTE: Duration = Duration::from_secs(60);
}
