//! From events to lines.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::ZonedDateTime;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::record::{self, Record};
use super::{Level, Output, Style, json};

/// Writes each event to every output whose level it reaches.
pub struct SaltLayer {
    style: Style,
    granular: Vec<(String, Level)>,
    outputs: Vec<(Output, Mutex<Box<dyn Write + Send>>)>,
    now: fn() -> ZonedDateTime,
}

impl SaltLayer {
    /// A layer without outputs.
    #[must_use]
    pub fn new(style: Style, granular: Vec<(String, Level)>) -> Self {
        Self {
            style,
            granular,
            outputs: Vec::new(),
            now: ZonedDateTime::now,
        }
    }

    /// Takes the time from elsewhere.
    #[must_use]
    pub fn with_clock(mut self, now: fn() -> ZonedDateTime) -> Self {
        self.now = now;
        self
    }

    /// Adds an output.
    pub fn add(&mut self, output: Output, to: Box<dyn Write + Send>) {
        self.outputs.push((output, Mutex::new(to)));
    }

    /// The level of the module, as Python finds it: the nearest name above that has one, and `salt`
    /// above all of ours.
    fn granular(&self, name: &str) -> Level {
        let mut nearest = (0, Level::All);
        for (module, level) in &self.granular {
            let below = name.strip_prefix(module.as_str());
            let below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            let length = if module == "salt" { 1 } else { module.len() };
            if (below || module == "salt") && length >= nearest.0 {
                nearest = (length, *level);
            }
        }
        nearest.1
    }

    fn shows(&self, level: Level) -> bool {
        self.outputs.iter().any(|(output, _)| output.level <= level)
    }
}

impl<S: Subscriber> Layer<S> for SaltLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // An error may be a critical one: only its fields say so.
        let most = match record::level(metadata) {
            Level::Error => Level::Critical,
            Level::Debug => Level::Profile,
            other => other,
        };
        metadata.is_span() || self.shows(most)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let lowest = self.outputs.iter().map(|(output, _)| output.level).min();
        Some(match lowest.unwrap_or(Level::Quiet) {
            Level::All | Level::Garbage | Level::Trace => LevelFilter::TRACE,
            Level::Debug | Level::Profile => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warning => LevelFilter::WARN,
            Level::Error | Level::Critical => LevelFilter::ERROR,
            Level::Quiet => LevelFilter::OFF,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let record = Record::new(event, (self.now)());
        if record.level < self.granular(&record.name) {
            return;
        }
        for (output, to) in &self.outputs {
            if record.level < output.level {
                continue;
            }
            let mut line = match self.style {
                Style::Salt => output.format.line(&record, &output.datefmt),
                Style::Json => json::line(&record),
            };
            line.push('\n');
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            // There is nobody left to tell if the log cannot be written.
            let _ = to.write_all(line.as_bytes()).and_then(|()| to.flush());
        }
    }
}

impl fmt::Debug for SaltLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaltLayer")
            .field("style", &self.style)
            .field("granular", &self.granular)
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
