//! Log lines as values, and the one place where they become events of `tracing`.
//!
//! `tracing` ends at ERROR. Salt's CRITICAL is an ERROR with `severity = "critical"`, which the
//! program's log writes as Salt does.

use std::error::Error;

use crate::failover::Level;
use crate::wire::publish::Jid;

/// One line for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    /// The job that it is about.
    pub(super) jid: Option<String>,
}

impl Line {
    pub(super) fn new(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
            jid: None,
        }
    }

    /// It is about this job.
    pub(super) fn about(self, jid: &Jid) -> Self {
        let jid = Some(jid.as_str().to_owned());
        Self { jid, ..self }
    }

    /// Writes it.
    pub(super) fn say(&self) {
        let (text, jid) = (&self.text, self.jid.as_deref());
        match self.level {
            Level::Debug => tracing::debug!(target: TARGET, jid, "{text}"),
            Level::Info => tracing::info!(target: TARGET, jid, "{text}"),
            Level::Warning => tracing::warn!(target: TARGET, jid, "{text}"),
            Level::Error => tracing::error!(target: TARGET, jid, "{text}"),
            Level::Critical => {
                tracing::error!(target: TARGET, severity = "critical", jid, "{text}");
            }
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
