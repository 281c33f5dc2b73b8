//! The audit log in a database file that somebody else may have open.

use std::num::NonZeroUsize;
use std::path::Path;

use super::SqliteError;
use super::connection::Connection;
use crate::audit::chain::Head;
use crate::store::backend::Error;
use crate::store::layout::{AUDIT_RECORDS, Row};
use crate::store::row::{self, HeadRow};

/// The audit log in a file, to read.
#[derive(Debug)]
pub struct AuditFile(Connection);

impl AuditFile {
    /// Opens the file; a service may have it open at the same time.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read or is no store.
    pub fn open(path: &Path) -> Result<Self, SqliteError> {
        Connection::open_read_only(path).map(Self)
    }

    /// The records behind `after`, as the bytes that are hashed, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn records(&mut self, after: u64, limit: NonZeroUsize) -> Result<Vec<Vec<u8>>, Error> {
        let after = Row::AuditRecord(after).name();
        let page = self.0.list(AUDIT_RECORDS, Some(&after), limit)?;
        Ok(page
            .rows
            .into_iter()
            .map(|(_, entry)| entry.value)
            .collect())
    }

    /// Where the store says that the chain ends.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn head(&mut self) -> Result<Option<Head>, Error> {
        let snapshot = self.0.read(&[Row::AuditHead.name()])?;
        let entry = snapshot.entries.into_iter().next().flatten();
        Ok(entry.and_then(|entry| {
            let head: HeadRow = row::decode(&entry.value).ok()?;
            Some(head.into())
        }))
    }
}
