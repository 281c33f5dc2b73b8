//! The SQL: one table of rows, one row that counts transactions.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{
    ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, named_params, params,
};

use super::super::backend::{Commit, Entry, Error, Key, Page, Snapshot, Transaction};
use super::{APPLICATION, SCHEMA, SqliteError};

/// An open database.
#[derive(Debug)]
pub(super) struct Connection(rusqlite::Connection);

impl Connection {
    /// Opens the file, checks it, and makes the tables in a new one.
    pub(super) fn open(path: &Path) -> Result<Self, SqliteError> {
        let opening = Opening { path };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = rusqlite::Connection::open_with_flags(absolute(path)?, flags);
        let mut connection = connection.map_err(opening.failed("open"))?;
        let is_new = is_empty(&connection).map_err(opening.failed("look into"))?;
        configure(&connection, is_new).map_err(opening.failed("configure"))?;
        if is_new {
            create(&mut connection).map_err(opening.failed("create the tables of"))?;
            let full = connection.pragma_update(None, "synchronous", "FULL");
            full.map_err(opening.failed("configure"))?;
        }
        opening.check_version(&connection)?;
        opening.check_integrity(&connection)?;
        Ok(Self(connection))
    }

    /// Opens the file of a service that runs or not, to look into it.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, SqliteError> {
        let opening = Opening { path };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = rusqlite::Connection::open_with_flags(absolute(path)?, flags);
        let connection = connection.map_err(opening.failed("open"))?;
        let waits = connection.busy_timeout(BUSY);
        waits.map_err(opening.failed("configure"))?;
        opening.check_version(&connection)?;
        Ok(Self(connection))
    }

    pub(super) fn read(&mut self, keys: &[Key]) -> Result<Snapshot, Error> {
        let transaction = self.0.transaction().map_err(unavailable)?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let row = transaction
                .prepare_cached("SELECT value, modified FROM rows WHERE name = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()
                })
                .map_err(unavailable)?;
            let entry = row.map(|(value, modified)| entry(value, modified));
            entries.push(entry.transpose()?);
        }
        Ok(Snapshot {
            revision: revision(&transaction)?,
            entries,
        })
    }

    pub(super) fn list(
        &mut self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> Result<Page, Error> {
        let limit = limit.get();
        let fetch = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let transaction = self.0.transaction().map_err(unavailable)?;
        let mut rows = Vec::new();
        {
            let mut statement = transaction.prepare_cached(LIST).map_err(unavailable)?;
            // Names are printable ASCII, so DEL is behind all that begin with the prefix.
            let mut found = statement
                .query(named_params! {
                    ":from": prefix,
                    ":to": format!("{prefix}\u{7f}"),
                    ":after": after.map_or("", Key::as_str),
                    ":limit": fetch,
                })
                .map_err(unavailable)?;
            while let Some(row) = found.next().map_err(unavailable)? {
                let name: String = row.get(0).map_err(unavailable)?;
                let value = row.get(1).map_err(unavailable)?;
                let modified = row.get(2).map_err(unavailable)?;
                rows.push((Key::new(name)?, entry(value, modified)?));
            }
        }
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Page {
            revision: revision(&transaction)?,
            rows,
            more,
        })
    }

    pub(super) fn commit(&mut self, changes: &Transaction) -> Result<Commit, Error> {
        changes.check()?;
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unavailable)?;
        for guard in &changes.guards {
            let modified: Option<i64> = transaction
                .prepare_cached("SELECT modified FROM rows WHERE name = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_row([guard.key().as_str()], |row| row.get(0))
                        .optional()
                })
                .map_err(unavailable)?;
            if !guard.holds(modified.map(number).transpose()?) {
                return Ok(Commit::Conflict);
            }
        }
        let revision = revision(&transaction)?.saturating_add(1);
        write(&transaction, changes, revision).map_err(unavailable)?;
        // From here on the log may hold the transaction whatever the answer is.
        transaction
            .commit()
            .map_err(|source| Error::OutcomeUnknown {
                source: Box::new(source),
            })?;
        Ok(Commit::Committed { revision })
    }
}

fn write(
    transaction: &rusqlite::Transaction<'_>,
    changes: &Transaction,
    revision: u64,
) -> rusqlite::Result<()> {
    let revision = i64::try_from(revision).unwrap_or(i64::MAX);
    transaction.execute("UPDATE revision SET number = ?1", [revision])?;
    let mut put = transaction.prepare_cached(PUT)?;
    for (key, value) in &changes.puts {
        put.execute(params![key.as_str(), value, revision])?;
    }
    let mut delete = transaction.prepare_cached("DELETE FROM rows WHERE name = ?1")?;
    for key in &changes.deletes {
        delete.execute([key.as_str()])?;
    }
    Ok(())
}

/// Whether nobody has put anything into the file, not even a name.
fn is_empty(connection: &rusqlite::Connection) -> rusqlite::Result<bool> {
    let query = "SELECT (SELECT count(*) FROM sqlite_schema) = 0 AND \
                 (SELECT application_id = 0 FROM pragma_application_id)";
    connection.query_row(query, [], |row| row.get(0))
}

fn configure(connection: &rusqlite::Connection, is_new: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // EXTRA also syncs the directory, which matters once: when the file comes into being.
    let synchronous = if is_new { "EXTRA" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    let query = "PRAGMA journal_mode = WAL";
    let mode: String = connection.query_row(query, [], |row| row.get(0))?;
    if mode == "wal" {
        Ok(())
    } else {
        Err(rusqlite::Error::InvalidQuery)
    }
}

fn create(connection: &mut rusqlite::Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// What the errors of opening have in common.
#[derive(Clone, Copy, Debug)]
struct Opening<'a> {
    path: &'a Path,
}

impl Opening<'_> {
    fn failed(self, action: &'static str) -> impl FnOnce(rusqlite::Error) -> SqliteError {
        let path = self.path.to_owned();
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SqliteError::Damaged {
                path,
                report: source.to_string(),
            },
            _ => SqliteError::Sql {
                action,
                path,
                source,
            },
        }
    }

    fn check_version(self, connection: &rusqlite::Connection) -> Result<(), SqliteError> {
        let pragma = |name| {
            let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map_err(self.failed("read the version of"))
        };
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        if (application, version) == (APPLICATION, SCHEMA) {
            Ok(())
        } else {
            Err(SqliteError::NotOurs {
                path: self.path.to_owned(),
                application,
                version,
            })
        }
    }

    fn check_integrity(self, connection: &rusqlite::Connection) -> Result<(), SqliteError> {
        let query = "PRAGMA integrity_check(1)";
        let report: String = connection
            .query_row(query, [], |row| row.get(0))
            .map_err(self.failed("check"))?;
        if report == "ok" {
            Ok(())
        } else {
            Err(SqliteError::Damaged {
                path: self.path.to_owned(),
                report,
            })
        }
    }
}

/// SQLite refuses a link in any part of the path, so the path it gets has none but the one that we
/// checked.
fn absolute(path: &Path) -> Result<PathBuf, SqliteError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let resolved = directory.canonicalize();
    let resolved = resolved.map_err(|source| SqliteError::Path {
        action: "resolve",
        path: directory.to_owned(),
        source,
    })?;
    Ok(match path.file_name() {
        Some(name) => resolved.join(name),
        None => resolved,
    })
}

fn revision(transaction: &rusqlite::Transaction<'_>) -> Result<u64, Error> {
    let query = "SELECT number FROM revision";
    let found = transaction
        .prepare_cached(query)
        .map_err(unavailable)?
        .query_row([], |row| row.get(0))
        .map_err(unavailable)?;
    number(found)
}

fn entry(value: Vec<u8>, modified: i64) -> Result<Entry, Error> {
    Ok(Entry {
        value,
        revision: number(modified)?,
    })
}

fn number(found: i64) -> Result<u64, Error> {
    u64::try_from(found).map_err(|_| Error::Corrupt {
        what: format!("a revision is {found}"),
    })
}

fn unavailable(source: rusqlite::Error) -> Error {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt {
            what: source.to_string(),
        },
        _ => Error::Unavailable {
            source: Box::new(source),
        },
    }
}

/// For an operator's tool that reads, checks or backs up; writers there are none but us.
const BUSY: Duration = Duration::from_secs(5);
/// The rows of some thousand masters: with the two MiB that SQLite takes by itself, it reads the
/// same pages again and again.
const CACHE_KIB: i64 = 8 * 1024;

const TABLES: &str = "
CREATE TABLE rows (
    name     TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 512),
    value    BLOB    NOT NULL,
    created  INTEGER NOT NULL CHECK (created > 0),
    modified INTEGER NOT NULL CHECK (modified >= created)
) STRICT, WITHOUT ROWID;
CREATE TABLE revision (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number >= 0)
) STRICT;
INSERT INTO revision (one, number) VALUES (1, 0);
";

const LIST: &str = "
SELECT name, value, modified FROM rows
WHERE name >= :from AND name < :to AND name > :after
ORDER BY name LIMIT :limit
";

const PUT: &str = "
INSERT INTO rows (name, value, created, modified) VALUES (?1, ?2, ?3, ?3)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, modified = excluded.modified
";
