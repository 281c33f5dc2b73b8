//! placeholder

use std::process::ExitCode;

/// The arguments of `mastersign dev`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs `mastersign dev`.
///
/// # Errors
///
/// Not written yet.
pub fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
