//! A database that is gone with its last handle: for tests, and the model that the others are
//! compared with.

use std::collections::BTreeMap;
use std::future::ready;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::{Backend, BoxFuture, Commit, Entry, Error, Key, Page, Snapshot, Transaction};

/// A handle on a database in memory.
#[derive(Debug, Default)]
pub struct Memory {
    tables: Arc<Mutex<Tables>>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Tables {
    revision: u64,
    rows: BTreeMap<Key, Entry>,
}

impl Memory {
    /// Another handle on the same database, open even if this one is closed.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self {
            tables: Arc::clone(&self.tables),
            is_closed: AtomicBool::new(false),
        }
    }

    fn tables(&self) -> Result<MutexGuard<'_, Tables>, Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_now(&self, keys: &[Key]) -> Result<Snapshot, Error> {
        let tables = self.tables()?;
        let entries = keys.iter().map(|key| tables.rows.get(key).cloned());
        Ok(Snapshot {
            revision: tables.revision,
            entries: entries.collect(),
        })
    }

    fn list_now(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> Result<Page, Error> {
        let tables = self.tables()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = tables.rows.range::<Key, _>((from, Bound::Unbounded));
        let mut matching = rows.filter(|(key, _)| key.as_str().starts_with(prefix));
        let rows = matching.by_ref().take(limit.get());
        let rows = rows.map(|(key, entry)| (key.clone(), entry.clone()));
        Ok(Page {
            revision: tables.revision,
            rows: rows.collect(),
            more: matching.next().is_some(),
        })
    }

    fn commit_now(&self, transaction: Transaction) -> Result<Commit, Error> {
        transaction.check()?;
        let mut tables = self.tables()?;
        let holds = transaction.guards.iter().all(|guard| {
            let row = tables.rows.get(guard.key());
            guard.holds(row.map(|entry| entry.revision))
        });
        if !holds {
            return Ok(Commit::Conflict);
        }
        tables.revision = tables.revision.saturating_add(1);
        let revision = tables.revision;
        for (key, value) in transaction.puts {
            tables.rows.insert(key, Entry { value, revision });
        }
        for key in transaction.deletes {
            tables.rows.remove(&key);
        }
        Ok(Commit::Committed { revision })
    }
}

impl Backend for Memory {
    fn read(&self, keys: &[Key]) -> BoxFuture<'_, Result<Snapshot, Error>> {
        Box::pin(ready(self.read_now(keys)))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(ready(self.list_now(prefix, after, limit)))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, Error>> {
        Box::pin(ready(self.commit_now(transaction)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.is_closed.store(true, Ordering::Release);
        Box::pin(ready(()))
    }
}
