//! The little that a database has to do for the store.
//!
//! Reading several rows at one point in time, listing, and a transaction that is applied whole or
//! not at all if its guards hold. Every rule stands above this line, once; a backend that knew
//! operations would be a second place where a revocation could go wrong. Guards and revisions mean
//! what they mean in etcd.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;

/// An answer that is still to come.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where rows are kept.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Reads rows, all as they were at one point in time; the answer has one place for each key.
    ///
    /// # Errors
    ///
    /// Says whether it is worth another try; see [`Error`].
    fn read(&self, keys: &[Key]) -> BoxFuture<'_, Result<Snapshot, Error>>;

    /// Lists the rows whose names begin with `prefix`, in the order of their names, from the one
    /// behind `after` on.
    ///
    /// Each page is its own point in time; its revision tells whether two pages belong together.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'_, Result<Page, Error>>;

    /// Applies the transaction if all of its guards hold; it is durable when the answer comes.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read); after [`Error::OutcomeUnknown`] it may have been applied.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, Error>>;

    /// Lets go of the database when everything that was asked before is answered. Nothing works
    /// afterwards.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The name of a row: 1 to 512 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// Refuses a name that is empty, too long or has characters that sort differently in different
    /// databases.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if (1..=512).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(name))
        } else {
            Err(Error::Name { name })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For names that are made of parts which are known to fit.
    pub(super) const fn trusted(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A row's content and the revision of the transaction that wrote it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The content.
    pub value: Vec<u8>,
    /// When it was written, counted in transactions.
    pub revision: u64,
}

/// Several rows at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision of the database at that point.
    pub revision: u64,
    /// One place for each key that was asked for.
    pub entries: Vec<Option<Entry>>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision of the database at the point of reading.
    pub revision: u64,
    /// The rows, in the order of their names.
    pub rows: Vec<(Key, Entry)>,
    /// Whether there are further rows behind the last one.
    pub more: bool,
}

/// What has to hold for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// There is no such row.
    Absent(Key),
    /// The row was last written at this revision.
    RevisionEquals(Key, u64),
}

impl Guard {
    /// The row that it is about.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::RevisionEquals(key, _) => key,
        }
    }

    /// Whether it holds for a row of that revision, or for none.
    #[must_use]
    pub fn holds(&self, revision: Option<u64>) -> bool {
        match self {
            Self::Absent(_) => revision.is_none(),
            Self::RevisionEquals(_, expected) => revision == Some(*expected),
        }
    }
}

/// Changes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What has to hold.
    pub guards: Vec<Guard>,
    /// The rows to write.
    pub puts: Vec<(Key, Vec<u8>)>,
    /// The rows to remove; one that is not there is no error.
    pub deletes: Vec<Key>,
}

impl Transaction {
    /// Checks what every backend has to refuse in the same way.
    ///
    /// # Errors
    ///
    /// Refuses a transaction that no backend may take.
    pub fn check(&self) -> Result<(), Error> {
        let mut size = 0_usize;
        let mut written = BTreeSet::new();
        for (key, value) in &self.puts {
            size = size.saturating_add(key.as_str().len());
            size = size.saturating_add(value.len());
            if !written.insert(key) {
                return Err(Error::Twice { key: key.clone() });
            }
        }
        for key in &self.deletes {
            if !written.insert(key) {
                return Err(Error::Twice { key: key.clone() });
            }
        }
        if size > MAX_SIZE {
            return Err(Error::TooLarge { size });
        }
        Ok(())
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is applied and durable, and this is the revision of every row that it wrote.
    Committed {
        /// One more than that of the transaction before.
        revision: u64,
    },
    /// A guard does not hold, and nothing was changed.
    Conflict,
}

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend was closed.
    #[error("the store is closed")]
    Closed,
    /// The database holds what the backend cannot have written.
    #[error(
        "the database is damaged: {what}; stop the service, keep a copy of the files, and restore \
         the newest backup"
    )]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// A name that no row can have.
    #[error("{name:?} is no name of a row")]
    Name {
        /// The name.
        name: String,
    },
    /// The transaction was sent and may have been applied or not.
    #[error("the database did not say whether it applied the transaction")]
    OutcomeUnknown {
        /// What happened instead of an answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A transaction that is larger than every backend can take.
    #[error("the transaction has {size} bytes, and {MAX_SIZE} are the most that one can have")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A transaction that changes one row twice.
    #[error("the transaction changes row {key} twice")]
    Twice {
        /// The row.
        key: Key,
    },
    /// The database cannot be used at the moment; nothing was changed.
    #[error("the database cannot be used at the moment")]
    Unavailable {
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the same request may succeed later without anybody repairing something.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::OutcomeUnknown { .. } | Self::Unavailable { .. } => true,
            Self::Closed
            | Self::Corrupt { .. }
            | Self::Name { .. }
            | Self::TooLarge { .. }
            | Self::Twice { .. } => false,
        }
    }
}

/// Less than the 1.5 MiB that etcd takes in one request.
const MAX_SIZE: usize = 1 << 20;
