//! `mastersign openapi`: the description of the API for programs.

use std::process::ExitCode;

use crate::api::openapi;
use crate::terminal;

/// Prints it.
///
/// # Errors
///
/// Fails if standard output is closed.
pub fn run() -> anyhow::Result<ExitCode> {
    terminal::say(openapi::text().trim_end())?;
    Ok(ExitCode::SUCCESS)
}
