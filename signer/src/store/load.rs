//! The way back from the rows to the state, which trusts none of them.
//!
//! The audit chain is verified first: with a broken one nothing can be said about the rest, and the
//! store does not open. Then each row must be what the newest audit record about it wrote, and what
//! admits a key or a signature must verify under the operator's or the signing key besides. The
//! first check alone would believe whoever rewrites the whole chain; the second alone would believe
//! an old acceptance after a revocation.

mod audit;
mod masters;
mod rebuild;
mod signatures;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;

use uuid::Uuid;

use self::audit::Trail;
use super::backend::{self, Backend, Commit, Entry, Guard, Key, Transaction};
use super::change::Change;
use super::layout::{PREFIXES, Row};
use super::row::{self, HeadRow, SchemaRow, StoreRow, V1};
use super::{Error, State};
use crate::audit::chain::{Broken, Cause, Head};
use crate::audit::{Action, Actor, Digest, Record};
use crate::authorize::OperatorsCa;
use crate::clock::Clock;
use rebuild::Rebuild;

/// What the committer starts with.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) uuid: Uuid,
    pub(super) state: State,
    pub(super) head: (Head, u64),
}

/// Loads the state, or begins a store in an empty database.
pub(super) async fn load(
    backend: &dyn Backend,
    operators: &OperatorsCa,
    clock: &dyn Clock,
    id: Option<Uuid>,
) -> Result<Loaded, OpenError> {
    if is_empty(backend).await? {
        create(backend, clock, id.unwrap_or_else(Uuid::new_v4)).await?;
    }
    let names = [Row::Schema, Row::Store, Row::AuditHead].map(|row| row.name());
    let snapshot = backend.read(&names).await.map_err(OpenError::Read)?;
    let mut entries = snapshot.entries.into_iter();
    let mut next = || entries.next().flatten();
    check_schema(next())?;
    let identity = next();
    let head = next();
    let (trail, found) = Trail::read(backend).await?;
    let head_revision = check_head(head, found)?;
    let uuid = check_identity(identity, &trail)?;
    if let Some(configured) = id.filter(|id| *id != uuid) {
        return Err(OpenError::OtherStore {
            found: uuid,
            configured,
        });
    }
    let rows = rows(backend).await?;
    let mut state = Rebuild::new(rows, &trail, operators, uuid).run();
    state.head = Some(found);
    Ok(Loaded {
        uuid,
        state,
        head: (found, head_revision),
    })
}

async fn is_empty(backend: &dyn Backend) -> Result<bool, OpenError> {
    let page = backend.list("", None, NonZeroUsize::MIN).await;
    Ok(page.map_err(OpenError::Read)?.rows.is_empty())
}

/// Writes the first audit record, which names the store, and the rows that every store has.
async fn create(backend: &dyn Backend, clock: &dyn Clock, uuid: Uuid) -> Result<(), OpenError> {
    let state = State::default();
    let now = clock.now();
    let subject = format!("store {uuid}");
    let mut change = Change::new(now, Actor::service(), Action::StoreCreated, subject);
    change.detail("store", &uuid);
    let schema = SchemaRow {
        v: SCHEMA,
        min_writer: SCHEMA,
    };
    let identity = StoreRow {
        v: V1,
        uuid,
        created: now,
    };
    let mut write = || -> Result<Transaction, Error> {
        change.put(&state, &Row::Schema, &schema)?;
        change.put(&state, &Row::Store, &identity)?;
        let record = change.event.clone().chain(1, Digest::ZERO);
        let bytes = record
            .to_bytes()
            .map_err(|source| Error::Record { source })?;
        let head = Head {
            seq: 1,
            hash: Record::hash(&bytes),
        };
        let (head_name, record_name) = (Row::AuditHead.name(), Row::AuditRecord(1).name());
        let mut puts = change.puts.clone();
        puts.push((head_name.clone(), row::encode(&HeadRow::from(head))?));
        puts.push((record_name.clone(), bytes));
        let mut guards = change.guards.clone();
        guards.extend([Guard::Absent(head_name), Guard::Absent(record_name)]);
        Ok(Transaction {
            guards,
            puts,
            deletes: Vec::new(),
        })
    };
    let transaction = write().map_err(OpenError::Create)?;
    match backend.commit(transaction).await {
        Ok(Commit::Committed { .. }) => Ok(()),
        Ok(Commit::Conflict) => Err(OpenError::Create(Error::Conflict)),
        Err(source) => Err(OpenError::Create(Error::from(source))),
    }
}

fn check_schema(entry: Option<Entry>) -> Result<(), OpenError> {
    let schema: Option<SchemaRow> = entry.and_then(|entry| row::decode(&entry.value).ok());
    match schema {
        Some(schema) if schema.min_writer > SCHEMA || schema.v > SCHEMA => Err(OpenError::Newer {
            found: schema.min_writer.max(schema.v),
        }),
        Some(_) => Ok(()),
        None => Err(OpenError::NoStore),
    }
}

/// The head in the store must be where the chain ends, or records were cut off or added.
fn check_head(entry: Option<Entry>, found: Head) -> Result<u64, OpenError> {
    let stored = entry.and_then(|entry| {
        let head: HeadRow = row::decode(&entry.value).ok()?;
        Some((Head::from(head), entry.revision))
    });
    match stored {
        Some((head, revision)) if head == found => Ok(revision),
        stored => {
            let end = stored.map_or(found.seq, |(head, _)| head.seq.min(found.seq));
            let after_end = end.saturating_add(1);
            let seq = match stored {
                Some((head, _)) if head.seq != found.seq => after_end,
                _ => end,
            };
            Err(OpenError::Audit(Broken {
                seq,
                cause: Cause::Head,
            }))
        }
    }
}

fn check_identity(entry: Option<Entry>, trail: &Trail) -> Result<Uuid, OpenError> {
    let row: Option<StoreRow> = entry.and_then(|entry| row::decode(&entry.value).ok());
    match (row, trail.store()) {
        (Some(row), Some(uuid)) if row.uuid == uuid => Ok(uuid),
        _ => Err(OpenError::Identity),
    }
}

/// Every row except the audit log.
async fn rows(backend: &dyn Backend) -> Result<BTreeMap<Key, Entry>, OpenError> {
    let mut rows = BTreeMap::new();
    for prefix in PREFIXES {
        let mut after = None;
        loop {
            let page = backend.list(prefix, after.as_ref(), PAGE).await;
            let page = page.map_err(OpenError::Read)?;
            after = page.rows.last().map(|(key, _)| key.clone());
            rows.extend(page.rows);
            if !page.more {
                break;
            }
        }
    }
    Ok(rows)
}

/// The revisions that later changes are guarded by.
fn revisions(rows: &BTreeMap<Key, Entry>) -> HashMap<Key, u64> {
    let rows = rows.iter();
    rows.map(|(key, entry)| (key.clone(), entry.revision))
        .collect()
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The audit log was altered, so nothing in the store can be trusted.
    #[error(
        "the audit log of the store was altered at record {seq}, so the service does not start; \
         keep a copy of the database for the inquiry and restore the newest backup from before \
         that record",
        seq = .0.seq
    )]
    Audit(#[source] Broken),
    /// A new store could not be written.
    #[error("failed to begin a new store")]
    Create(#[source] Error),
    /// The row that names the store does not agree with the audit log.
    #[error(
        "the store's identity does not agree with the first record of its audit log: the database \
         was put together from two; restore one backup as a whole"
    )]
    Identity,
    /// A newer program wrote the store.
    #[error(
        "the store was written by a newer version (layout {found}, and this program knows \
         {SCHEMA}); run that version, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The version of the layout.
        found: u32,
    },
    /// There are rows but not those that every store has.
    #[error("the database holds rows, but is no store: the row meta/schema is missing or damaged")]
    NoStore,
    /// Somebody exchanged the database, or configured the wrong one.
    #[error(
        "the database holds the store {found}, and `store.id` in the configuration is \
         {configured}: it belongs to another installation, or was exchanged"
    )]
    OtherStore {
        /// The store in the database.
        found: Uuid,
        /// The one that it should be.
        configured: Uuid,
    },
    /// The database could not be read.
    #[error("failed to read the store")]
    Read(#[source] backend::Error),
}

/// The version of the layout of the rows and of what they mean.
const SCHEMA: u32 = 1;

/// Rows per page, some hundred kilobytes.
const PAGE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
