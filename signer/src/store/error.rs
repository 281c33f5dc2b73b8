//! Why a change did not become durable, and whether a repeat may help.

use std::sync::Arc;

use super::backend;
use crate::audit::ReadError;

/// Why a change was not stored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The backend did not take the change.
    #[error("the change was not written")]
    Commit {
        /// What the backend said.
        #[source]
        source: Arc<backend::Error>,
    },
    /// Somebody else wrote to the database.
    #[error(
        "the database was changed by somebody else than this service; restart it, so that it \
         loads and checks the whole state again"
    )]
    Conflict,
    /// A value that has no JSON form.
    #[error("the row could not be encoded")]
    Encode {
        /// What the encoder said.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The database gave no answer first, and turned out not to have applied the change.
    #[error("the database did not apply the change")]
    NotCommitted,
    /// A record that has no canonical form.
    #[error("the audit record could not be encoded")]
    Record {
        /// What the encoder said.
        #[source]
        source: ReadError,
    },
}

impl Error {
    /// Whether the same request may succeed later without anybody repairing something.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Commit { source } => source.is_retryable(),
            Self::NotCommitted => true,
            Self::Closed | Self::Conflict | Self::Encode { .. } | Self::Record { .. } => false,
        }
    }
}

impl From<backend::Error> for Error {
    fn from(source: backend::Error) -> Self {
        match source {
            backend::Error::Closed => Self::Closed,
            other => Self::Commit {
                source: Arc::new(other),
            },
        }
    }
}
