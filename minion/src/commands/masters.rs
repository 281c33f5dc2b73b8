//! `mastersign-minion masters`: what the running minion is doing, read from its state file.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Output;
use crate::agent::{MasterState, MasterStatus, Status};
use crate::cli::ConfigArgument;
use crate::config::Overrides;
use crate::log::Escaped;
use crate::terminal;

/// The arguments of `mastersign-minion masters`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs `mastersign-minion masters`.
///
/// # Errors
///
/// Fails if there is no state file, which `run` writes.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load(&Overrides::default())?;
    let status = read(&config.state_file)?;
    let running = status.pid.is_some_and(is_running);
    match arguments.output {
        Output::Text => {
            let now = jiff::Timestamp::now().as_second();
            for line in lines(&status, running, now) {
                terminal::say(line)?;
            }
        }
        Output::Json => terminal::say(document(&status, running)?)?,
    }
    Ok(match (running, status.current().next()) {
        (false, _) => ExitCode::from(3),
        (true, None) => ExitCode::from(69),
        (true, Some(_)) => ExitCode::SUCCESS,
    })
}

fn read(path: &Path) -> anyhow::Result<Status> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "there is no {}; `mastersign-minion run` writes it, as long as it runs",
            path.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", path.display()));
        }
    };
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is not what this version of mastersign-minion writes",
            path.display()
        )
    })
}

/// Whether there is such a process; another user's cannot be signalled, but is there.
fn is_running(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    !matches!(
        kill(Pid::from_raw(pid), None),
        Err(nix::errno::Errno::ESRCH)
    )
}

fn lines(status: &Status, running: bool, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    if !running {
        lines.push("the minion is not running; this is what it did last".to_owned());
    }
    let widest = status.masters.iter().map(|master| master.name.len()).max();
    let width = widest.unwrap_or_default();
    for master in &status.masters {
        let MasterStatus { name, .. } = master;
        let state = word(master.state);
        let since = age(now.saturating_sub(master.since));
        let mut line = format!("{name:<width$}  {state:<9}  for {since}");
        if let Some(address) = master.address {
            line.push_str(&format!("  at {address}"));
        }
        if let Some(outcome) = &master.last_outcome {
            line.push_str(&format!("  last sign-in: {}", Escaped(outcome)));
        }
        lines.push(line);
    }
    lines
}

fn document(status: &Status, running: bool) -> anyhow::Result<Value> {
    let mut document = serde_json::to_value(status).context("failed to encode the state")?;
    if let Some(object) = document.as_object_mut() {
        object.insert("running".to_owned(), json!(running));
    }
    Ok(document)
}

const fn word(state: MasterState) -> &'static str {
    match state {
        MasterState::Asking => "asking",
        MasterState::Connected => "connected",
        MasterState::Failed => "failed",
        MasterState::Lost => "lost",
        MasterState::Pending => "pending",
        MasterState::Unused => "unused",
    }
}

/// A time span in its two largest units.
fn age(seconds: i64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut left = seconds.max(0);
    let mut parts = Vec::new();
    for (unit, size) in units {
        let count = left.checked_div(size).unwrap_or_default();
        left = left.checked_rem(size).unwrap_or_default();
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0   the minion is connected to a master
  1   there is no state file, or it cannot be read
  3   the minion is not running
  69  the minion runs and is connected to no master";

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        serde_json::from_value(json!({
            "id": "m1", "pid": 7, "updated": 1000, "masters": [
                {"name": "a", "state": "failed", "since": 940, "last_outcome": "no answer\n", "address": null, "key": null},
                {"name": "beta", "state": "connected", "since": 0, "last_outcome": "accepted",
                 "address": "10.0.0.2:4506", "key": "ab"},
            ]
        }))
        .unwrap()
    }

    #[test]
    fn people_see_a_line_for_each_master() {
        assert_eq!(
            lines(&status(), true, 1000),
            [
                "a     failed     for 1m  last sign-in: no answer\\n",
                "beta  connected  for 16m 40s  at 10.0.0.2:4506  last sign-in: accepted",
            ]
        );
        let stopped = lines(&status(), false, 1000);
        assert!(stopped[0].contains("not running") && stopped.len() == 3);
    }

    #[test]
    fn programs_get_the_state_file_and_whether_anybody_keeps_it() {
        let document = document(&status(), false).unwrap();
        assert_eq!(document["running"], false);
        assert_eq!(document["masters"][1]["state"], "connected");
    }

    #[test]
    fn a_process_is_there_or_not() {
        assert!(is_running(std::process::id()));
        assert!(is_running(1));
        assert!(!is_running(u32::MAX));
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (-1, "0s"),
            (0, "0s"),
            (59, "59s"),
            (3_660, "1h 1m"),
            (90_061, "1d 1h"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn a_missing_state_file_says_who_writes_it() {
        let error = read(Path::new("/nonexistent/state.json"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("mastersign-minion run"), "{error}");
    }
}
