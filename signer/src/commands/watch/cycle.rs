//! The children of `watch`: each does one thing as the owner of one directory, tells about it in one
//! line of JSON, and ends.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use super::report::{Report, Word};
use crate::clock::SystemClock;
use crate::commands::fetch::SettingsArguments;
use crate::fetch::directory::FileName;
use crate::fetch::drop_in::{self, Change};
use crate::fetch::{Fetch, Outcome, Prepared, privilege};
use crate::terminal;

/// Has a child do a cycle.
pub(super) fn run() -> Report {
    let report = child(&["--inside=cycle"]).and_then(|line| {
        serde_json::from_str(&line).context("the child did not tell how the cycle ended")
    });
    report.unwrap_or_else(|error| Report::failed(format!("{error:#}")))
}

/// Has a child write the drop-in.
pub(super) fn write(name: &str, sha256: &str) -> anyhow::Result<Change> {
    let line = child(&[
        "--inside=write",
        "--signature-name",
        name,
        "--signature-sha256",
        sha256,
    ])?;
    Ok(serde_json::from_str(&line)?)
}

/// Has a child take it away.
pub(super) fn undo() -> anyhow::Result<Change> {
    Ok(serde_json::from_str(&child(&["--inside=undo"])?)?)
}

/// Runs this very command line again, with some arguments more.
fn child(more: &[&str]) -> anyhow::Result<String> {
    let executable = std::env::current_exe().context("failed to find this program's own file")?;
    let output = Command::new(executable)
        .args(std::env::args_os().skip(1))
        .args(more)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("failed to start a child")?;
    if output.status.success() {
        return String::from_utf8(output.stdout).context("the child did not answer in text");
    }
    bail!("{}", terminal::refusal(&output.stderr))
}

/// One cycle, in the child.
pub(super) fn inside(settings: SettingsArguments) -> anyhow::Result<ExitCode> {
    let report = match prepare(settings) {
        Ok(fetch) => cycle(&fetch),
        Err(error) => Report::failed(format!("{error:#}")),
    };
    terminal::say(serde_json::to_string(&report)?)?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(settings: SettingsArguments) -> anyhow::Result<Fetch> {
    let settings = settings.partial()?.complete()?;
    Ok(Prepared::read(settings)?.enter()?)
}

fn cycle(fetch: &Fetch) -> Report {
    let outcome = fetch.run(None, &SystemClock, |_| {});
    let (result, detail) = match outcome {
        Ok(Outcome::Written { algorithm }) => (
            Word::Written,
            format!("{algorithm}, key {}", fetch.key().hash()),
        ),
        Ok(Outcome::Unchanged { algorithm }) => (
            Word::Unchanged,
            format!("{algorithm}, key {}", fetch.key().hash()),
        ),
        Ok(Outcome::Pending { master }) => (
            Word::Pending,
            format!(
                "an operator has to accept this key: mastersign masters accept {master} --key {}",
                fetch.key().hash()
            ),
        ),
        Ok(Outcome::Mismatch { why }) => (Word::Mismatch, why),
        // Only a dry run ends like this.
        Ok(Outcome::WouldAsk | Outcome::WouldWrite { .. }) => (Word::Error, "dry run".to_owned()),
        Err(error) if error.is_mismatch() => (Word::Mismatch, error.to_string()),
        Err(error) => (Word::Error, format!("{:#}", anyhow::Error::new(error))),
    };
    Report {
        result,
        detail,
        name: Some(fetch.name().as_str().to_owned()),
        sha256: fetch.verified().map(hex::encode),
        serves: false,
        leftovers: fetch.leftovers().len(),
        follow: fetch.sources(),
    }
}

/// Writes the drop-in, in the child.
pub(super) fn write_inside(
    salt_config: &Path,
    name: &str,
    sha256: &str,
) -> anyhow::Result<ExitCode> {
    let hash = hash(sha256)?;
    let directory = enter(salt_config)?;
    let change = drop_in::write(&directory, &FileName::new(name)?, hash)?;
    terminal::say(serde_json::to_string(&change)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The hash of a signature file, from the text that a child told or is told.
pub(super) fn hash(sha256: &str) -> anyhow::Result<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(sha256, &mut hash).context("this is no SHA-256 of a signature file")?;
    Ok(hash)
}

/// Takes it away, in the child.
pub(super) fn undo_inside(salt_config: &Path) -> anyhow::Result<ExitCode> {
    let change = if drop_in::directory(salt_config).exists() {
        drop_in::remove(&enter(salt_config)?)?
    } else {
        Change::None
    };
    terminal::say(serde_json::to_string(&change)?)?;
    Ok(ExitCode::SUCCESS)
}

fn enter(salt_config: &Path) -> anyhow::Result<crate::fetch::directory::PkiDir> {
    let directory = std::path::absolute(drop_in::directory(salt_config))?;
    privilege::enter(&directory, &[]).with_context(|| {
        format!(
            "Salt's drop-ins belong into {}; make the directory if it is missing",
            directory.display()
        )
    })
}
