//! Log lines in Salt's form, or as JSON.
//!
//! Operators have tools that read Salt's log, so the levels, the formats and the options are
//! Salt's (Salt 3008.5, `salt/_logging/impl.py`). The lines come from `tracing`, which has fewer
//! levels: an event with the field `severity = "critical"` (or `profile`, `garbage`) is shown with
//! that one. The name of a line is its target with dots: `minion::agent` becomes `minion.agent`.
//!
//! # Text from peers
//!
//! Line breaks of a message are kept, as Salt's own messages have some; every other control
//! character is written as `\u{..}`, and in fields all of them are. What a peer sent belongs into a
//! field, or through [`Escaped`].

mod date;
mod escape;
mod file;
mod format;
mod json;
mod layer;
mod level;
mod record;

use std::io;
use std::path::PathBuf;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub use date::{BadDateFormat, DateFormat};
pub use escape::Escaped;
pub use format::{BadFormat, Format, JidFormat};
pub use layer::SaltLayer;
pub use level::{Level, UnknownLevel};

use file::WatchedFile;

/// What is logged, where and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Salt's lines or JSON.
    pub style: Style,
    /// Standard error.
    pub console: Output,
    /// `log_file`; none if its level is `quiet` or it is empty.
    pub file: Option<(PathBuf, Output)>,
    /// `log_granular_levels`: levels for modules, which can only show less.
    pub granular: Vec<(String, Level)>,
}

/// One place where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The least severe level that is shown.
    pub level: Level,
    /// `log_fmt_console` or `log_fmt_logfile`.
    pub format: Format,
    /// `log_datefmt_console` or `log_datefmt_logfile`.
    pub datefmt: DateFormat,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// Salt's, by its format options.
    #[default]
    Salt,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process.
///
/// A log file that cannot be opened is a line on standard error and no more, as with Salt: a minion
/// that runs is worth more than its log.
///
/// # Errors
///
/// Fails if this process has a log already.
pub fn start(settings: &Settings) -> Result<(), LogError> {
    let mut layer = SaltLayer::new(settings.style, settings.granular.clone());
    layer.add(settings.console.clone(), Box::new(io::stderr()));
    let mut failed = None;
    if let Some((path, output)) = &settings.file {
        match WatchedFile::open(path) {
            Ok(file) => layer.add(output.clone(), Box::new(file)),
            Err(error) => failed = Some((path, error)),
        }
    }
    registry().with(layer).try_init()?;
    if let Some((path, error)) = failed {
        // Salt 3008.5, salt/_logging/impl.py, setup_logfile_handler.
        tracing::warn!(
            "Failed to open log file, do you have permission to write to {}? ({error})",
            path.display()
        );
    }
    Ok(())
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is a log already.
    #[error("this process has a log already")]
    Twice(#[from] TryInitError),
}
