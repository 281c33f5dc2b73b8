//! Log lines as values, and the one place where they become events of `tracing`.
//!
//! `tracing` ends at ERROR. Salt's CRITICAL is an ERROR with `severity = "critical"`, which the
//! program's log writes as Salt does.

use std::error::Error;

use crate::failover::Level;

/// One line for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
}

impl Line {
    pub(super) fn new(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
        }
    }

    /// Writes it.
    pub(super) fn say(&self) {
        let text = &self.text;
        match self.level {
            Level::Debug => tracing::debug!(target: TARGET, "{text}"),
            Level::Info => tracing::info!(target: TARGET, "{text}"),
            Level::Warning => tracing::warn!(target: TARGET, "{text}"),
            Level::Error => tracing::error!(target: TARGET, "{text}"),
            Level::Critical => tracing::error!(target: TARGET, severity = "critical", "{text}"),
        }
    }
}

/// An error with all its causes in one line, also where Salt's words for it have several.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.replace('\n', " ")
}

/// Where the lines come from, for a filter.
const TARGET: &str = "minion::agent";
