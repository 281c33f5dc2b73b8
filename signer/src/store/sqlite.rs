//! The embedded database: one SQLite file, one thread that owns it.
//!
//! SQLite rather than a key-value library because an operator can look into it while the service
//! runs (`sqlite3 -readonly`), back it up with its own tools, and read it in twenty years. It is
//! the only place with SQL. All of it runs on one named thread behind a bounded queue; SQLite has
//! one writer anyway, and reads are rare because the state is in memory.

mod connection;
mod place;
mod records;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::backend::{Backend, BoxFuture, Commit, Error, Key, Page, Snapshot, Transaction};
use connection::Connection;
use place::Place;
pub use records::AuditFile;

/// A SQLite file that this process alone writes to.
pub struct Sqlite {
    path: PathBuf,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    /// Resolves, with an error, when the thread has let go of everything.
    ended: Mutex<Option<oneshot::Receiver<Infallible>>>,
}

enum Request {
    Commit(Transaction, oneshot::Sender<Result<Commit, Error>>),
    List {
        prefix: String,
        after: Option<Key>,
        limit: NonZeroUsize,
        answer: oneshot::Sender<Result<Page, Error>>,
    },
    Read(Vec<Key>, oneshot::Sender<Result<Snapshot, Error>>),
}

impl Sqlite {
    /// Opens the file, or creates it and its directory, for this process alone.
    ///
    /// It blocks while the file is checked.
    ///
    /// # Errors
    ///
    /// Fails if another process has it, if others on the machine could read or write it, if it is
    /// on a network file system, or if SQLite finds it damaged or of a newer version.
    pub fn open(path: &Path) -> Result<Self, SqliteError> {
        let place = Place::take(path)?;
        let connection = Connection::open(path)?;
        let (requests, waiting) = mpsc::channel(QUEUE);
        let (running, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("store-sqlite".to_owned())
            .spawn(move || {
                serve(connection, place, waiting);
                drop::<oneshot::Sender<Infallible>>(running);
            })
            .map_err(|source| SqliteError::Thread { source })?;
        Ok(Self {
            path: path.to_owned(),
            requests: Mutex::new(Some(requests)),
            ended: Mutex::new(Some(ended)),
        })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let requests = {
            let requests = self.requests.lock();
            requests.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let (answer, answered) = oneshot::channel();
        let sent = match requests {
            Some(requests) => requests.send(request(answer)).await.is_ok(),
            None => false,
        };
        if !sent {
            return Err(Error::Closed);
        }
        answered.await.map_err(|_| Error::Closed)?
    }
}

impl Backend for Sqlite {
    fn read(&self, keys: &[Key]) -> BoxFuture<'_, Result<Snapshot, Error>> {
        let keys = keys.to_vec();
        Box::pin(self.ask(move |answer| Request::Read(keys, answer)))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'_, Result<Page, Error>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        Box::pin(self.ask(move |answer| Request::List {
            prefix,
            after,
            limit,
            answer,
        }))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, Error>> {
        Box::pin(self.ask(move |answer| Request::Commit(transaction, answer)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let requests = self.requests.lock();
        drop(requests.unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock();
        let ended = ended.unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            if let Some(Err(_)) = match ended {
                Some(ended) => Some(ended.await),
                None => None,
            } {
                tracing::debug!("the database is closed");
            }
        })
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why a file cannot be the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// SQLite found damage.
    #[error(
        "the database {path} is damaged: {report}; keep a copy of it and its -wal file, and \
         restore the newest backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that SQLite's integrity check says.
        report: String,
    },
    /// Another service has the file.
    #[error(
        "another process has the store {path} open (it holds the lock {lock}); stop it first, or \
         give this service its own state_dir"
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file is another program's, or of another version.
    #[error(
        "{path} is no store of this program: it has application id {application:#x} and schema \
         version {version}; this program writes {APPLICATION:#x} and {SCHEMA}. A newer program \
         may have written it"
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What the file says it belongs to.
        application: i64,
        /// The version of its tables.
        version: i64,
    },
    /// A file system on which locks or the write-ahead log do not work reliably.
    #[error(
        "{path} is on a network file system ({kind}), where SQLite loses data; put state_dir on a \
         local disk"
    )]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// A directory or file that others on the machine can use.
    #[error(
        "others than its owner can use {path} (mode {mode:04o}); `chmod {want:o} {path}` ends that"
    )]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        want: u32,
    },
    /// A file or directory that is not for the user that runs this.
    #[error(
        "failed to {action} {path}: user {user} may not. {held} belongs to user {owner} and has mode \
         {mode:04o}; if the service ran as another user before, `chown -R` its state directory to \
         the one that runs it"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Who tried it.
        user: u32,
        /// The file, or the nearest directory above it that is there.
        held: PathBuf,
        /// Whose that is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory that could not be used.
    #[error("failed to {action} {path}")]
    Path {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// SQLite refused.
    #[error("failed to {action} the database {path}")]
    Sql {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The thread could not be started.
    #[error("failed to start the database thread")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Ends when the last sender is gone and the queue is empty. The lock goes after the connection.
fn serve(mut connection: Connection, place: Place, mut waiting: mpsc::Receiver<Request>) {
    while let Some(request) = waiting.blocking_recv() {
        // Whoever asked may have gone; the work is done all the same.
        match request {
            Request::Commit(transaction, answer) => {
                drop(answer.send(connection.commit(&transaction)));
            }
            Request::List {
                prefix,
                after,
                limit,
                answer,
            } => drop(answer.send(connection.list(&prefix, after.as_ref(), limit))),
            Request::Read(keys, answer) => drop(answer.send(connection.read(&keys))),
        }
    }
    drop(connection);
    drop(place);
}

/// The committer has one transaction under way at a time; the rest is reading at the start.
const QUEUE: usize = 16;

/// "MSgn": SQLite's header field for whose file it is, shown by `file(1)`.
const APPLICATION: i64 = 0x4d53_676e;

/// The version of the tables, not of what is in them.
const SCHEMA: i64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::Guard;
    use crate::store::testing::File;

    async fn closed(file: &File) {
        let sqlite = Sqlite::open(&file.path()).unwrap();
        let puts = (0..200).map(|number| {
            let key = Key::new(format!("row/{number}")).unwrap();
            (key, vec![b'x'; 400])
        });
        let transaction = Transaction {
            puts: puts.collect(),
            ..Transaction::default()
        };
        sqlite.commit(transaction).await.unwrap();
        sqlite.close().await;
    }

    #[tokio::test]
    async fn a_second_service_on_the_file_is_refused_until_the_first_closes() {
        let file = File::new();
        let first = Sqlite::open(&file.path()).unwrap();
        let refused = Sqlite::open(&file.path()).unwrap_err();
        assert!(matches!(refused, SqliteError::InUse { .. }), "{refused}");
        first.close().await;
        Sqlite::open(&file.path()).unwrap();
    }

    #[tokio::test]
    async fn the_file_is_written_with_the_settings_that_make_commits_durable() {
        let file = File::new();
        closed(&file).await;
        let connection = file.by_hand();
        let pragma = |name| {
            let value = connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            value.unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma("application_id"), APPLICATION.into());
        assert_eq!(pragma("user_version"), SCHEMA.into());
        let strict = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 1";
        let strict: i64 = connection.query_row(strict, [], |row| row.get(0)).unwrap();
        assert_eq!(strict, 2);
    }

    #[tokio::test]
    async fn an_operator_can_read_while_the_service_writes() {
        let file = File::new();
        let sqlite = Sqlite::open(&file.path()).unwrap();
        let key = Key::new("a").unwrap();
        for number in 1..=5_u64 {
            let guard = match number {
                1 => Guard::Absent(key.clone()),
                _ => Guard::RevisionEquals(key.clone(), number.saturating_sub(1)),
            };
            let transaction = Transaction {
                guards: vec![guard],
                puts: vec![(key.clone(), number.to_string().into_bytes())],
                deletes: Vec::new(),
            };
            let commit = sqlite.commit(transaction).await.unwrap();
            assert_eq!(commit, Commit::Committed { revision: number });
            assert_eq!(file.value("a").unwrap(), number.to_string().into_bytes());
        }
    }

    #[tokio::test]
    async fn a_newer_or_foreign_file_is_refused() {
        let file = File::new();
        closed(&file).await;
        for (pragma, value) in [("user_version", 2), ("application_id", 1)] {
            file.by_hand().pragma_update(None, pragma, value).unwrap();
            let refused = Sqlite::open(&file.path()).unwrap_err();
            assert!(matches!(refused, SqliteError::NotOurs { .. }), "{refused}");
            let connection = file.by_hand();
            connection
                .pragma_update(None, "user_version", SCHEMA)
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused() {
        let file = File::new();
        closed(&file).await;
        let whole = std::fs::read(file.path()).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged
            .iter_mut()
            .skip(middle)
            .take(4096)
            .for_each(|byte| *byte = 0xa5);
        for bytes in [damaged, b"this is no database at all".repeat(200)] {
            std::fs::write(file.path(), bytes).unwrap();
            let refused = Sqlite::open(&file.path()).unwrap_err();
            assert!(
                matches!(refused, SqliteError::Damaged { .. }),
                "{refused:?}"
            );
        }
        std::fs::write(file.path(), whole).unwrap();
        Sqlite::open(&file.path()).unwrap();
    }
}
