//! What is wrong with `pki_dir` or a file in it.

use std::io;
use std::path::PathBuf;

use crate::verify::{KeyError, KeyHashError};
use crate::wire::private_key::PrivateKeyError;

/// Names the file, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A pinned key, or what is kept about it, is not what was written.
    #[error(
        "{} was changed by somebody else than this minion; if that was you, remove it: the master \
         is then met anew, and its signature checked as at every meeting",
        .0.display()
    )]
    Damaged(PathBuf),
    /// OpenSSL made no key.
    #[error("failed to make a key of {bits} bits")]
    Generate {
        /// The size that was asked for.
        bits: u32,
        /// Why.
        #[source]
        source: openssl::error::ErrorStack,
    },
    /// An operation of the system failed.
    #[error("failed to {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file that holds no key of a master, or none that can sign.
    #[error("{} holds no public key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What it holds.
        #[source]
        source: KeyError,
    },
    /// The directory does not exist.
    #[error(
        "there is no directory {}; `mastersign-minion run` makes it, and `pki_dir` in the \
         configuration says where it is",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// The minion has no key yet.
    #[error("there is no {}; `mastersign-minion run` makes it", .0.display())]
    NoIdentity(PathBuf),
    /// No key that could vouch for a master.
    #[error(
        "Verification public key {} does not exist. You need to copy it from the master to the \
         minions pki directory",
        .0.display()
    )]
    NoSigningKey(PathBuf),
    /// A directory, a device, a link, or a file that is far too large.
    #[error("{} is not a regular file of reasonable size", .0.display())]
    NotAFile(PathBuf),
    /// A public key whose private one is gone.
    #[error(
        "there is {} but no minion.pem; put the key back that belongs to it, or remove it to have \
         a new key made, which every master must then accept",
        .0.display()
    )]
    Orphan(PathBuf),
    /// Somebody else's file.
    #[error(
        "{} belongs to uid {owner}, who is neither root nor the minion's user (uid {user}); \
         `chown` it",
        path.display()
    )]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it could be.
        user: u32,
    },
    /// A private key that this minion cannot use.
    #[error("{} cannot be used", path.display())]
    Private {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PrivateKeyError,
    },
    /// A private key that others may read.
    #[error(
        "{} is a private key and may be read by others (mode {mode:04o}); `chmod 400` it",
        path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line of `revoked_masters` that is no hash.
    #[error("{}, line {line}", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What a hash is.
        #[source]
        source: KeyHashError,
    },
    /// A line before a signing key that is no time.
    #[error(
        "{}, line {line}: before the key stand only `# not-before: 2026-01-31T00:00:00Z` and `# \
         not-after: ..`, each at most once",
        path.display()
    )]
    Validity {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A signing key that anybody might have.
    #[error(
        "{} is too weak a key to vouch for a master: {bits} bits, or an exponent other than 65537; \
         a new signing key needs at least 2048, and each master a new signature by it",
        path.display()
    )]
    Weak {
        /// The file.
        path: PathBuf,
        /// The size of the modulus.
        bits: u32,
    },
    /// Something that others may change.
    #[error("{} may be changed by others (mode {mode:04o}); `chmod go-w` it", path.display())]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}
