//! `mastersign pki list`: what the authorities have issued.

use std::process::ExitCode;

use super::Directory;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::commands::Output;
use crate::pki::{Authority, Entry, Scope};
use crate::terminal::{note, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let mut rows = Vec::new();
    for scope in Scope::ALL {
        let folder = arguments.directory.directory.join(scope.name());
        let entries = Authority::list(&folder)?;
        let revoked = Authority::revoked(&folder)?;
        let state = |entry: &Entry| {
            let is_revoked = revoked.iter().any(|revoked| revoked.serial == entry.serial);
            if is_revoked {
                "revoked"
            } else {
                state(entry, now)
            }
        };
        rows.extend(
            entries
                .into_iter()
                .map(|entry| (scope, state(&entry), entry)),
        );
    }
    if arguments.output == Output::Json {
        let rows: Vec<serde_json::Value> = rows
            .iter()
            .map(|(scope, state, entry)| {
                serde_json::json!({
                    "authority": scope.name(),
                    "state": state,
                    "serial": entry.serial,
                    "identity": entry.identity,
                    "spki_sha256": entry.spki_sha256,
                    "not_before": entry.not_before,
                    "not_after": entry.not_after,
                })
            })
            .collect();
        say(serde_json::Value::from(rows))?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        let directory = arguments.directory.directory.display();
        note(format_args!("nothing was issued in {directory}"))?;
    }
    let width = rows
        .iter()
        .map(|(_, _, entry)| entry.identity.len())
        .max()
        .unwrap_or_default();
    for (_, state, entry) in &rows {
        say(format_args!(
            "{:width$}  {:7}  until {}  serial {}",
            entry.identity, state, entry.not_after, entry.serial
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn state(entry: &Entry, now: Timestamp) -> &'static str {
    if now > entry.not_after {
        "ended"
    } else if now < entry.not_before {
        "future"
    } else {
        "valid"
    }
}
