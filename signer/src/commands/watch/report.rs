//! What a cycle found, as its child tells it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// How it ended.
    pub(super) result: Word,
    /// What has to be said about it.
    pub(super) detail: String,
    /// The name of the signature file, once the master's files could be read.
    pub(super) name: Option<String>,
    /// SHA-256 of the file that is there now, if it verifies under the pinned key for the key that
    /// is there.
    pub(super) sha256: Option<String>,
    /// Whether salt-master is configured to serve it.
    pub(super) serves: bool,
    /// How many private signing keys lie beside it.
    pub(super) leftovers: usize,
    /// The files whose change is a reason for another cycle.
    pub(super) follow: Vec<PathBuf>,
}

impl Report {
    /// A cycle that did not get far.
    pub(super) const fn failed(detail: String) -> Self {
        Self {
            result: Word::Error,
            detail,
            name: None,
            sha256: None,
            serves: false,
            leftovers: 0,
            follow: Vec::new(),
        }
    }

    /// One line for the journal.
    pub(super) fn told(&self) -> String {
        let file = match (&self.name, self.sha256.is_some()) {
            (Some(name), true) => format!("; {name} verifies"),
            (Some(name), false) => format!("; there is no {name} that verifies"),
            (None, _) => String::new(),
        };
        format!("{}: {}{file}", self.result.word(), self.detail)
    }
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    Error,
    Mismatch,
    Pending,
    Unchanged,
    Written,
}

impl Word {
    pub(super) const ALL: [Self; 5] = [
        Self::Error,
        Self::Mismatch,
        Self::Pending,
        Self::Unchanged,
        Self::Written,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Mismatch => "mismatch",
            Self::Pending => "pending",
            Self::Unchanged => "unchanged",
            Self::Written => "written",
        }
    }

    pub(super) const fn is_success(self) -> bool {
        matches!(self, Self::Unchanged | Self::Written)
    }

    /// The exit code of `fetch` for it.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Mismatch => 42,
            Self::Pending => 3,
            Self::Unchanged | Self::Written => 0,
        }
    }
}
