//! The steps of docs/rollout.md for which the page has a command of Salt's.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::salt::{Installation, Master, Minion};
use softhsm_tests::service::{Service, Site};
use tempfile::TempDir;

/// Steps 2 and 3 of docs/rollout.md: what is exported becomes a state on the master, and Salt
/// applies it. Only the paths below /etc/salt are this minion's own.
pub(super) fn apply(site: &Site, service: &Service, master: &Master, minion: &str, more: &[&str]) {
    let state = run(export(site, service, "state").args(more)).unwrap();
    let state = state
        .replace("/etc/salt/pki/minion/", "{{ opts['pki_dir'] }}/")
        .replace("/etc/salt/minion.d/", "{{ opts['conf_file'] }}.d/");
    assert!(!state.contains("/etc/salt"), "{state}");
    fs::write(roots(master.installation()).join("mastersign.sls"), state).unwrap();
    let answer = master.salt_with(minion, &["state.apply", "mastersign"]);
    let answer = answer.unwrap();
    let states = answer[minion].as_object();
    let states = states.unwrap_or_else(|| panic!("{answer:#}"));
    assert_eq!(states.len(), 1 + more.len(), "{answer:#}");
    let good = states.values().all(|state| state["result"] == true);
    assert!(good, "{answer:#}");
}

/// What the page counts by, for one minion.
pub(super) fn is_counted_as_ready(
    site: &Site,
    service: &Service,
    master: &Master,
    id: &str,
    minion: &Minion,
) -> bool {
    // `keys export` shows the fingerprint beside the file, with colons.
    let (_, _, shown) = attempt(&export(site, service, "file")).unwrap();
    let expected = shown
        .lines()
        .find_map(|line| line.split_once("file  "))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no fingerprint in {shown:?}"))
        .replace(':', "");
    let key = minion.directory().join("pki/master_sign.pub");
    let key = key.to_string_lossy();
    let settings = minion.settings();
    let settings = settings.to_string_lossy();
    let digest = master
        .salt_with(id, &["hashutil.digest_file", &key, "sha256"])
        .unwrap();
    let grep = ["file.grep", &settings, "verify_master_pubkey_sign"];
    let found = master.salt_with(id, &grep).unwrap();
    let verifies = found[id]["stdout"] == "verify_master_pubkey_sign: True";
    let has_key = digest[id] == expected;
    assert_eq!(has_key, verifies, "{digest} {found}");
    has_key
}

/// `mastersign keys export`, which any client may ask for.
fn export(site: &Site, service: &Service, format: &str) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args(["keys", "export", "--format", format])
        .args(["--url", &service.url()])
        .args(site.pki().master_papers("alpha").options());
    command
}

/// The restarts of step 4 that are to come by themselves: the minions run what the page has them
/// run, which waits for a file here and not for two minutes, and tells here and not systemd.
pub(super) struct Restarts {
    directory: TempDir,
    told: BufReader<File>,
    count: usize,
}

impl Restarts {
    pub(super) fn plan(master: &Master, minions: &[&str]) -> Self {
        let directory = TempDir::with_prefix("restarts-").unwrap();
        let (begin, pipe) = (
            directory.path().join("begin"),
            directory.path().join("told"),
        );
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let line = format!(
            "while [ ! -e {} ]; do sleep 0.1; done; echo restart > {}",
            begin.display(),
            pipe.display()
        );
        let answer = master.salt_with("*", &["cmd.run_bg", &line]).unwrap();
        for minion in minions {
            assert!(answer[*minion]["pid"].is_u64(), "{answer:#}");
        }
        // For both, so that it has no end between two of them.
        let told = OpenOptions::new().read(true).write(true).open(pipe);
        Self {
            directory,
            told: BufReader::new(told.unwrap()),
            count: minions.len(),
        }
    }

    /// Lets them come, and waits for all.
    pub(super) fn come(mut self) {
        fs::write(self.directory.path().join("begin"), "").unwrap();
        for _ in 0..self.count {
            let mut line = String::new();
            self.told.read_line(&mut line).unwrap();
            assert_eq!(line, "restart\n");
        }
    }
}

/// The master's `file_roots`.
pub(super) fn roots(master: &Installation) -> PathBuf {
    master.config_dir().join("srv")
}
