//! What the service says about itself while it runs: log lines and numbers.
//!
//! Both go through process-wide registries, because the libraries that report through them know no
//! other way; they are set up in one place each, by the commands that run for long. Neither carries
//! a secret: what holds one has no `Display`, and keys and certificates appear as fingerprints.
//! Text from a peer is written through [`Escaped`], so that no line of a log can be forged and no
//! terminal be steered by who sent it.

mod line;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::io;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::line::Line;
pub use self::line::{Context, within};
use crate::config::{Log, LogFormat};
use crate::terminal;

/// Sends log lines to standard error; directives that are given replace the configured ones.
///
/// # Errors
///
/// Fails if the directives cannot be read, or if this process has a log already.
pub fn log(log: &Log, directives: Option<&str>) -> Result<(), TelemetryError> {
    let directives = directives.unwrap_or(&log.filter);
    let filter = EnvFilter::try_new(directives).map_err(|source| TelemetryError::Filter {
        directives: directives.to_owned(),
        source,
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(log.format == LogFormat::Text && terminal::has_colours())
        .event_format(Line(log.format))
        .finish()
        .try_init()
        .map_err(TelemetryError::Log)
}

/// Starts to count; the handle writes what was counted.
///
/// # Errors
///
/// Fails if this process counts already.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)
}

/// Why the process cannot report about itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// Filter directives that cannot be read.
    #[error("the log filter {directives:?} cannot be read; try \"info\" or \"info,signer=debug\"")]
    Filter {
        /// What was given.
        directives: String,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// There is a log already.
    #[error("the log cannot be set up")]
    Log(#[source] TryInitError),
    /// There is a recorder already.
    #[error("the metrics cannot be set up")]
    Metrics(#[source] BuildError),
}

/// Text from somebody else, with control characters and what hides or reorders text written as
/// `\u{..}`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly always there is nothing to escape, and a request has several such texts.
        if self
            .0
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
        {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            match character {
                '"' | '\'' => write!(f, "{character}")?,
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// An error and everything that caused it, in one line.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0.to_string()).fmt(f)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", Escaped(&error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A cached answer takes a millisecond, a signature some, a worker's restart seconds.
const BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_be_forged() {
        let text = "a\nINFO \u{1b}[2Jforged\u{9b}31m \u{202e}x \"quoted\" é";
        let shown = Escaped(text).to_string();
        assert_eq!(
            shown,
            "a\\nINFO \\u{1b}[2Jforged\\u{9b}31m \\u{202e}x \"quoted\" é"
        );
        for (text, shown) in [("/v1/~x \"'", "/v1/~x \"'"), ("a\\nb", "a\\\\nb")] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = crate::config::ConfigError::Read {
            path: "/x".into(),
            source: io::Error::other("broken\n"),
        };
        assert_eq!(Chain(&error).to_string(), "cannot read /x: broken\\n");
    }
}
