//! One event, as the formats see it.

use std::fmt::{self, Write};

use jiff::ZonedDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use super::Level;

/// What a line can be made of.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) level: Level,
    /// The target with dots.
    pub(super) name: String,
    pub(super) message: String,
    /// The job that it is about; empty if it is about none.
    pub(super) jid: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) file: &'static str,
    pub(super) line: u32,
    pub(super) process: u32,
    pub(super) time: ZonedDateTime,
}

impl Record {
    pub(super) fn new(event: &Event<'_>, time: ZonedDateTime) -> Self {
        let metadata = event.metadata();
        let mut record = Self {
            level: level(metadata),
            name: metadata.target().replace("::", "."),
            message: String::new(),
            jid: String::new(),
            fields: Vec::new(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            process: std::process::id(),
            time,
        };
        event.record(&mut record);
        record
    }

    fn set(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "jid" => self.jid = value,
            "severity" => {
                // A word that is no level is a mistake of ours; the line is worth more than its
                // rank.
                self.level = value.parse().unwrap_or(self.level);
            }
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.set(field, text);
        }
    }
}

/// The level that `tracing` knows; `severity` may say more.
pub(super) fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::ERROR => Level::Error,
    }
}
