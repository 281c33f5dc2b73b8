//! Where the records come from.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::audit::Record;
use crate::audit::chain::Head;
use crate::authorize::OperatorRole;
use crate::client::Blocking;
use crate::commands::connection::{Connection, Options};
use crate::store::AuditFile;

/// An audit log.
#[derive(Debug)]
pub(super) enum Source {
    /// A database file.
    Database(AuditFile, Blocking),
    /// An export: one record a line.
    File(Vec<Vec<u8>>, Blocking),
    /// A service.
    Service(Box<Connection>),
}

impl Source {
    pub(super) fn open(
        database: Option<PathBuf>,
        file: Option<PathBuf>,
        connection: Options,
    ) -> anyhow::Result<Self> {
        let runtime = || Blocking::new().context("cannot start the timer");
        Ok(match (database, file) {
            (Some(path), _) => Self::Database(AuditFile::open(&path)?, runtime()?),
            (None, Some(path)) => {
                let text = std::fs::read(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let text = text.strip_suffix(b"\n").unwrap_or(&text);
                let lines = text.split(|byte| *byte == b'\n');
                Self::File(lines.map(<[u8]>::to_vec).collect(), runtime()?)
            }
            (None, None) => {
                let connection = Connection::open_as(OperatorRole::Auditor, connection)?;
                Self::Service(Box::new(connection))
            }
        })
    }

    /// The records behind `after`; none if there are no more.
    pub(super) fn page(&mut self, after: u64) -> anyhow::Result<Vec<Vec<u8>>> {
        match self {
            Self::Database(file, _) => Ok(file.records(after, PAGE)?),
            Self::File(lines, _) => {
                let after = usize::try_from(after).unwrap_or(usize::MAX);
                Ok(lines.iter().skip(after).take(PAGE.get()).cloned().collect())
            }
            Self::Service(connection) => {
                let page = connection.wait(connection.client().audit(after))?;
                let records = page.records.iter();
                Ok(records.map(|it| it.get().as_bytes().to_vec()).collect())
            }
        }
    }

    /// Where the store says that the chain ends; an export says nothing.
    pub(super) fn head(&mut self) -> anyhow::Result<Option<Head>> {
        match self {
            Self::Database(file, _) => Ok(file.head()?),
            Self::File(..) => Ok(None),
            Self::Service(connection) => {
                // Behind everything: only the head comes.
                let page = connection.wait(connection.client().audit(u64::MAX))?;
                Ok(page.head)
            }
        }
    }

    /// How many records there are, where that is known without reading them.
    pub(super) fn known_length(&self) -> u64 {
        match self {
            Self::File(lines, _) => u64::try_from(lines.len()).unwrap_or(u64::MAX),
            Self::Database(..) | Self::Service(_) => 0,
        }
    }

    /// What the first record says of the one before it, if this is an export of a later part.
    pub(super) fn before(&self) -> Option<Head> {
        let Self::File(lines, _) = self else {
            return None;
        };
        let first = Record::from_bytes(lines.first()?).ok()?;
        let before = Head {
            seq: first.seq.checked_sub(1)?,
            hash: first.prev,
        };
        (before.seq > 0).then_some(before)
    }

    /// Lets some time pass before the next look.
    pub(super) fn pause(&self) {
        let pause = async { tokio::time::sleep(PAUSE).await };
        match self {
            Self::Database(_, runtime) | Self::File(_, runtime) => runtime.wait(pause),
            Self::Service(connection) => connection.wait(pause),
        }
    }
}

/// What the service gives at most.
const PAGE: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// A person who watches does not notice it, and a service answers such a request in a millisecond.
const PAUSE: Duration = Duration::from_secs(1);
