//! `pki_dir`: the minion's key, the keys it trusts, and what it has learned of its masters.
//!
//! What an operator puts there is only read; what the minion learns goes into files of its own and
//! never into Salt's `minion_master.pub`, which the stock tools of the host go on using.
//!
//! # Files
//!
//! | file | who writes it | what it is |
//! |---|---|---|
//! | `minion.pem`, `minion.pub` | this minion or Salt's, once | the minion's key |
//! | `master_sign.pub` | the operator | the signing key; the name is `master_sign_key_name` |
//! | `master_sign.d/*.pub` | the operator | more signing keys, each from and until a time |
//! | `revoked_masters` | the operator | hashes of masters' keys, one a line |
//! | `masters/HASH.pub` | this minion | the key of a master after a whole handshake |
//! | `masters/HOST:PORT.endpoint` | this minion | the hash of the key that this master has |
//! | `masters/HASH.serials` | this minion | how far the publications of this master had come |
//!
//! What decides whom the minion believes must not be writable by anybody else, so owner and mode of
//! the directory and of each such file are checked when it is opened.

mod directory;
mod error;
mod identity;
mod masters;
mod signing;

use std::collections::BTreeSet;
use std::path::Path;

pub use error::PkiError;
pub use signing::SigningKey;

use directory::Directory;

use crate::config::MasterName;
use crate::verify::{KeyHash, PublicKey};
use crate::wire::crypticle::KeyId;
use crate::wire::private_key::PrivateKey;

/// The open directory.
#[derive(Debug)]
pub struct Store {
    directory: Directory,
    sign_key_name: String,
}

impl Store {
    /// Opens `pki_dir`; `sign_key_name` is `master_sign_key_name`.
    ///
    /// # Errors
    ///
    /// Says whose directory it is instead, or who may write to it.
    pub fn open(pki_dir: &Path, sign_key_name: &str) -> Result<Self, PkiError> {
        Ok(Self {
            directory: Directory::open(pki_dir)?,
            sign_key_name: sign_key_name.to_owned(),
        })
    }

    /// Opens `pki_dir`, and makes it with mode 0700 first if there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if it cannot be made.
    pub fn create(pki_dir: &Path, sign_key_name: &str) -> Result<Self, PkiError> {
        directory::make(pki_dir)?;
        Self::open(pki_dir, sign_key_name)
    }

    /// The minion's key; it is made with `keysize` bits if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or made, or others may read it.
    pub fn identity(&self, keysize: u32) -> Result<PrivateKey, PkiError> {
        identity::load_or_make(&self.directory, keysize)
    }

    /// The minion's key, which must be there: nothing is written.
    ///
    /// # Errors
    ///
    /// As [`identity`](Self::identity), and [`PkiError::NoIdentity`].
    pub fn existing_identity(&self) -> Result<PrivateKey, PkiError> {
        identity::load(&self.directory)?
            .ok_or_else(|| PkiError::NoIdentity(self.directory.path().join(identity::PRIVATE)))
    }

    /// The keys that may sign a master's key, `master_sign.pub` first, also those whose time it is
    /// not; see [`SigningKey::is_current`].
    ///
    /// # Errors
    ///
    /// Fails if there is none, or one cannot be read: a key that is passed over in silence is one
    /// that its operator believes in.
    pub fn signing_keys(&self) -> Result<Vec<SigningKey>, PkiError> {
        signing::load(&self.directory, &self.sign_key_name)
    }

    /// Keys of masters that are not to be believed although they were signed.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read: a list that nobody can read revokes nothing.
    pub fn revoked(&self) -> Result<BTreeSet<KeyHash>, PkiError> {
        masters::revoked(&self.directory)
    }

    /// The key that this master showed at the last complete handshake.
    ///
    /// # Errors
    ///
    /// Fails if it is there and cannot be read, or is another than it was.
    pub fn pinned(&self, master: &MasterName) -> Result<Option<PublicKey>, PkiError> {
        masters::pinned(&self.directory, master)
    }

    /// Keeps the key of a complete handshake; on return it is on the disk. Nothing is written if it
    /// is there already.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the old one is then untouched.
    pub fn pin(&self, master: &MasterName, key: &PublicKey) -> Result<(), PkiError> {
        masters::pin(&self.directory, master, key)
    }

    /// The serial that was reached under an AES key of the master with this key.
    ///
    /// # Errors
    ///
    /// Fails if it is there and cannot be read.
    pub fn serial(&self, master: &PublicKey, aes: KeyId) -> Result<Option<u64>, PkiError> {
        masters::serial(&self.directory, master, aes)
    }

    /// Keeps the serial, unless a higher one is kept; on return it outlives this process, but not
    /// for sure a power cut.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written.
    pub fn keep_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> Result<(), PkiError> {
        masters::keep_serial(&self.directory, master, aes, serial)
    }
}

#[cfg(test)]
mod tests;
