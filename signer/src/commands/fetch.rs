//! placeholder

use std::process::ExitCode;

/// The arguments of `mastersign fetch`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs `mastersign fetch`.
///
/// # Errors
///
/// Not written yet.
pub fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
