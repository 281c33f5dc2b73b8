//! A running `mastersign-minion run` with a stock configuration in a directory of its own.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::agent::fleet::{Fleet, LONG};

/// The program; it is killed when this is dropped.
pub(super) struct Program {
    // The order is the order of dropping: the process ends before its directory goes.
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    supervisor: tokio::net::UnixDatagram,
    told: String,
    directory: TempDir,
}

impl Program {
    /// Starts one for this fleet, with more options, and after a change to its `pki_dir`.
    pub(super) fn start(fleet: &Fleet, options: &str, change: impl FnOnce(&Path)) -> Self {
        let directory = TempDir::with_prefix("minion-").unwrap();
        let root = directory.path();
        let pki = root.join("pki");
        fs::create_dir(&pki).unwrap();
        fs::write(pki.join("master_sign.pub"), fleet.signer().to_file()).unwrap();
        fs::write(pki.join("minion.pem"), fleet.minion_key()).unwrap();
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        fs::set_permissions(pki.join("minion.pem"), owner_only).unwrap();
        change(&pki);
        let masters: String = fleet.addresses().map(|at| format!("  - {at}\n")).collect();
        let root_dir = root.display();
        let own = |name: &str| options.lines().any(|line| line.starts_with(name));
        let places: String = [
            ("pki_dir", "pki"),
            ("cachedir", "cache"),
            ("log_file", "log"),
        ]
        .iter()
        .filter(|(name, _)| !own(name))
        .map(|(name, place)| format!("{name}: {root_dir}/{place}\n"))
        .collect();
        let text = format!(
            "id: minion\nroot_dir: {root_dir}\n{places}log_level: debug\n\
             master_type: failover\nverify_master_pubkey_sign: True\nretry_dns: 0\n\
             auth_timeout: 60\nmaster:\n{masters}{options}"
        );
        fs::write(root.join("minion"), text).unwrap();
        let supervisor = UnixDatagram::bind(root.join("notify")).unwrap();
        supervisor.set_nonblocking(true).unwrap();
        // As systemd's: whoever the program becomes may tell.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(root.join("notify"), everybody).unwrap();
        let (child, log) = spawn(root);
        Self {
            child,
            log,
            supervisor: tokio::net::UnixDatagram::from_std(supervisor).unwrap(),
            told: String::new(),
            directory,
        }
    }

    /// Starts it again when it has ended, on the same files.
    pub(super) fn start_again(&mut self) {
        (self.child, self.log) = spawn(self.directory.path());
    }

    /// All its files.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One line of the kernel's account of it, without its name.
    pub(super) fn account(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Waits until the log has lines that begin like these, in this order; others may be between.
    pub(super) async fn sees(&mut self, expected: &[String]) {
        let mut seen = Vec::new();
        // A minion that goes on with something else says ever more.
        let end = Instant::now() + LONG;
        for line in expected {
            while !seen
                .last()
                .is_some_and(|last: &String| last.starts_with(line))
            {
                match timeout_at(end, self.log.next_line()).await {
                    Ok(Ok(Some(next))) => seen.push(next),
                    _ => panic!("no {line:?} after {seen:#?}"),
                }
            }
            // The next one is another line.
            seen.push(String::new());
        }
    }

    /// Waits until the supervisor was told this.
    pub(super) async fn tells(&mut self, words: &str) {
        while !self.told.lines().any(|line| line == words) {
            let mut datagram = [0; 4096];
            let received = timeout(LONG, self.supervisor.recv(&mut datagram)).await;
            let Ok(Ok(length)) = received else {
                panic!("no {words:?} in {}", self.told);
            };
            self.told
                .push_str(std::str::from_utf8(&datagram[..length]).unwrap());
            self.told.push('\n');
        }
    }

    /// What it keeps for `mastersign-minion masters`.
    pub(super) fn state(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("cache/mastersign-masters.json")).unwrap()
    }

    /// The memory that is its own, in KiB.
    pub(super) fn anonymous_kib(&self) -> u64 {
        let line = self.account("RssAnon");
        line.trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
    }

    /// Waits for its end, and gives the exit code.
    pub(super) async fn code(&mut self) -> Option<i32> {
        timeout(LONG, self.child.wait())
            .await
            .unwrap()
            .unwrap()
            .code()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }
}

fn spawn(root: &Path) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mastersign-minion"))
        .arg("run")
        .arg("-c")
        .arg(root)
        .env("NOTIFY_SOCKET", root.join("notify"))
        .env("WATCHDOG_USEC", "200000")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, log)
}
