//! `mastersign watch`, on a master: the signature file follows the master's key, Salt's
//! configuration and the service.
//!
//! The process that stays does nothing but wait, look at times of files and start others: each
//! cycle is a child that reads, becomes the owner of `pki_dir` for good, asks, verifies and writes,
//! as `fetch` does. So a cycle can neither keep a privilege nor end the watch. A file that is there
//! is never taken away, whatever the service says: an old signature is good for ever, and a master
//! without its file does not start.

mod cycle;
mod follow;
mod lock;
mod metrics;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use minion::salt_config::Planned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use self::follow::Followed;
use self::report::{Report, Word};
use super::fetch::SettingsArguments;
use crate::clock::{Clock, SystemClock};
use crate::fetch::directory::FileName;
use crate::fetch::drop_in::{self, Change};
use crate::fetch::salt_config::SaltMaster;
use crate::fetch::settings::SALT_CONFIG;
use crate::terminal;

/// The arguments of `mastersign watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// How often the service is asked although nothing has changed, like 1h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Write master.d/50-mastersign.conf once the verified file is there: salt-master then serves
    /// it from its next start on, and minions without verification are cut off
    #[arg(long)]
    drop_in: bool,
    /// Take master.d/50-mastersign.conf away again, and end; the signature file stays. Refused while
    /// a `watch --drop-in` runs here, which would write it again: stop that first
    #[arg(long, conflicts_with_all = ["drop_in", "once", "textfile"])]
    undo: bool,
    /// Do one cycle and end, with the exit codes of `fetch`
    #[arg(long)]
    once: bool,
    /// Write the state for Prometheus, for `node_exporter`'s textfile collector; *.prom
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Set by the command itself when it starts a child
    #[arg(long, value_enum, hide = true)]
    inside: Option<Inside>,
    /// Set by the command itself: the name of the signature file
    #[arg(long, hide = true)]
    signature_name: Option<String>,
    /// Set by the command itself: the hash of the signature file
    #[arg(long, hide = true)]
    signature_sha256: Option<String>,
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Inside {
    Cycle,
    Undo,
    Write,
}

/// Runs `mastersign watch`.
///
/// # Errors
///
/// Whatever keeps it from watching at all; what goes wrong in a cycle is told and tried again.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let salt_config = arguments.settings.clone().partial()?.salt_config;
    let salt_config = salt_config.unwrap_or_else(|| PathBuf::from(SALT_CONFIG));
    match arguments.inside {
        Some(Inside::Cycle) => return cycle::inside(arguments.settings),
        Some(Inside::Undo) => return cycle::undo_inside(&salt_config),
        Some(Inside::Write) => {
            let name = arguments
                .signature_name
                .context("--signature-name is missing")?;
            let sha256 = arguments
                .signature_sha256
                .context("--signature-sha256 is missing")?;
            return cycle::write_inside(&salt_config, &name, &sha256);
        }
        None => {}
    }
    if arguments.undo {
        return undo(&salt_config);
    }
    ensure!(
        arguments.interval >= SHORTEST_INTERVAL,
        "--interval is at least {}",
        humantime::format_duration(SHORTEST_INTERVAL)
    );
    let _held = if arguments.drop_in {
        Some(lock::hold(&salt_config)?)
    } else {
        None
    };
    let watch = Watch {
        drop_in: arguments.drop_in,
        interval: arguments.interval,
        textfile: arguments.textfile,
        salt_config,
        last: None,
        success: None,
        failures: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(watch.run(arguments.once));
    // A look-up of the service's name may hang for as long as the system's resolver does.
    runtime.shutdown_background();
    ended
}

fn undo(salt_config: &Path) -> anyhow::Result<ExitCode> {
    let _alone = lock::alone(salt_config)?;
    match cycle::undo()? {
        Change::Removed => terminal::say(
            "took master.d/50-mastersign.conf away. Restart salt-master: from then on it signs \
             nothing, and minions with verify_master_pubkey_sign are cut off from it",
        )?,
        Change::None | Change::Written => {
            terminal::say("unchanged: there is no master.d/50-mastersign.conf")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What stays between the cycles.
#[derive(Debug)]
struct Watch {
    drop_in: bool,
    interval: Duration,
    textfile: Option<PathBuf>,
    salt_config: PathBuf,
    /// The end of the last cycle.
    last: Option<Report>,
    /// When the file was last confirmed by the service.
    success: Option<crate::clock::Timestamp>,
    /// How many cycles in a row did not succeed.
    failures: u32,
}

impl Watch {
    async fn run(mut self, once: bool) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        loop {
            // Before the cycle: what changes meanwhile is seen after it.
            let mut followed = Followed::new(self.followed());
            let mut report = cycle::run();
            if report.result.is_success() {
                self.success = Some(SystemClock.now());
                if self.drop_in && self.tell_salt(&mut report)? {
                    // What we changed ourselves is no reason for another cycle.
                    followed = followed.renewed(vec![self.drop_ins(), self.drop_in_file()]);
                }
            }
            let report = self.settle(report)?;
            if once {
                return Ok(ExitCode::from(report.result.code()));
            }
            let followed = followed.with(self.followed());
            let due = Instant::now().checked_add(self.pause(&report));
            tokio::select! {
                () = until(due, followed) => {}
                () = told(&mut terminate, &mut interrupt) => return Ok(ExitCode::SUCCESS),
            }
        }
    }

    /// Draws the consequences of a cycle.
    fn settle(&mut self, mut report: Report) -> anyhow::Result<Report> {
        if let Ok(salt) = SaltMaster::load(&self.salt_config) {
            report.serves = salt.signs && salt.uses_file;
        }
        if self.drop_in && report.result.is_success() && !report.serves {
            // Only if somebody changed them since they were judged.
            report.result = Word::Error;
            report.detail = "Salt's settings have changed meanwhile".to_owned();
        }
        self.failures = if report.result.is_success() {
            0
        } else {
            self.failures.saturating_add(1)
        };
        if let Some(path) = &self.textfile {
            let text = metrics::text(&report, SystemClock.now(), self.success);
            if let Err(error) = metrics::write(path, &text) {
                terminal::note(format_args!(
                    "failed to write {}: {error:#}",
                    path.display()
                ))?;
            }
        }
        let changed = self
            .last
            .as_ref()
            .is_none_or(|last| last.told() != report.told());
        if changed || !report.result.is_success() {
            terminal::note(report.told())?;
        }
        self.last = Some(report.clone());
        Ok(report)
    }

    /// Has Salt serve the file that the cycle found good; whether `master.d` was changed for it.
    fn tell_salt(&self, report: &mut Report) -> anyhow::Result<bool> {
        let told = match self.write_drop_in(report) {
            Ok(change) => change,
            Err(error) => {
                report.result = Word::Error;
                report.detail = format!("{error:#}");
                // The old one may be gone, or half of a change done.
                return Ok(true);
            }
        };
        if told == Change::Written {
            terminal::note(
                "wrote master.d/50-mastersign.conf: salt-master serves the signature from its next \
                 start on",
            )?;
        }
        Ok(told != Change::None)
    }

    /// Writes the drop-in if Salt would do as it says, and takes an old one away if not.
    ///
    /// That is judged before anything is written: what comes and goes again would have
    /// deploy/mastersign-restart.path restart salt-master each time, with settings half overruled.
    fn write_drop_in(&self, report: &Report) -> anyhow::Result<Change> {
        let Some(name) = &report.name else {
            return Ok(Change::None);
        };
        // Only with a file that verifies: without one salt-master ends at its start.
        let sha256 = report
            .sha256
            .as_deref()
            .context("the file is not there or does not verify; Salt is not told to serve it")?;
        // Without the directory the child says what to do.
        if self.drop_ins().is_dir() {
            let content = drop_in::content(&FileName::new(name)?, cycle::hash(sha256)?);
            let planned = Planned::new(&self.drop_in_file(), content)
                .with_context(|| format!("failed to find {}", self.drop_ins().display()))?;
            let salt = SaltMaster::load_planned(&self.salt_config, planned)?;
            let lines = salt.missing_lines(name);
            if !lines.is_empty() || salt.signature_name.as_deref() != Some(name.as_str()) {
                if self.drop_in_file().symlink_metadata().is_ok() {
                    cycle::undo()?;
                }
                anyhow::bail!(
                    "another file of Salt's configuration overrules master.d/50-mastersign.conf, \
                     which is therefore not there. Salt would lack: {}",
                    lines.join("; ")
                );
            }
        }
        cycle::write(name, sha256)
    }

    fn drop_ins(&self) -> PathBuf {
        drop_in::directory(&self.salt_config)
    }

    fn drop_in_file(&self) -> PathBuf {
        self.drop_ins().join(drop_in::NAME)
    }

    fn followed(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.salt_config.join("master"), self.drop_ins()];
        paths.extend(self.last.iter().flat_map(|last| last.follow.clone()));
        paths
    }

    /// How long nothing is done if nothing changes.
    fn pause(&self, report: &Report) -> Duration {
        match report.result {
            Word::Unchanged | Word::Written => self.interval,
            Word::Pending => LONGEST_WAIT.min(self.interval),
            Word::Error | Word::Mismatch => {
                let doubled = 2_u32.saturating_pow(self.failures.min(MOST_DOUBLINGS));
                FIRST_WAIT
                    .saturating_mul(doubled)
                    .min(LONGEST_WAIT)
                    .min(self.interval)
            }
        }
    }
}

/// Waits until it is time or a file has changed.
async fn until(due: Option<Instant>, followed: Followed) {
    loop {
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) || followed.has_changed() {
            return;
        }
        let rest = due.map_or(LOOK, |due| due.saturating_duration_since(now));
        tokio::time::sleep(rest.min(LOOK)).await;
    }
}

async fn told(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A service that is asked more often is bothered, not watched.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// A handful of stat calls: soon enough for whoever changed a key, and nothing for the machine.
const LOOK: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Beyond this the wait is the longest anyway.
const MOST_DOUBLINGS: u32 = 8;

const HELP: &str = "\
Started as root, it stays root only to start its children: each becomes the owner of the directory that it writes to.
A running salt-master reads the file when it starts; deploy/mastersign-restart.path restarts it when the file changes.

Exit codes with --once:
  0   the file is there and verified
  1   failed; the file that was there is still there
  3   pending: an operator has to accept the key
  42  what the service sent does not verify; the file that was there is still there";
