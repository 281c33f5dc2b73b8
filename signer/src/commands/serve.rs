//! placeholder

use std::process::ExitCode;

/// The arguments of `mastersign serve`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs `mastersign serve`.
///
/// # Errors
///
/// Not written yet.
pub fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
