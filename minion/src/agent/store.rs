//! What an agent trusts and what it remembers, wherever that is kept.
//!
//! It is asked at every sign-in, not once: a signing key that an operator adds, or a revocation, is
//! in force at the next handshake without a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::config::MasterName;
use crate::pki;
use crate::verify::{KeyHash, PublicKey};
use crate::wire::crypticle::KeyId;

/// Keeps an agent's trust and memory.
///
/// The calls are made on the agent's own thread and must not wait for anything but a local disk.
pub trait Store: fmt::Debug + Send + Sync {
    /// The signing keys whose time it is.
    ///
    /// # Errors
    ///
    /// A sign-in without them fails, and says so; none at all is an error too.
    fn signing_keys(&self) -> io::Result<Vec<SigningKey>>;

    /// The hashes of masters' keys that are no longer to be trusted. It is also asked while a
    /// session lasts.
    ///
    /// # Errors
    ///
    /// A sign-in fails if it is not known what was revoked; a session goes on, and says so.
    fn revoked(&self) -> io::Result<BTreeSet<KeyHash>>;

    /// The key that this master proved last.
    ///
    /// # Errors
    ///
    /// A sign-in fails if it is not known whether there is one.
    fn pinned(&self, master: &MasterName) -> io::Result<Option<PublicKey>>;

    /// Remembers the key that this master has just proved.
    ///
    /// # Errors
    ///
    /// The session goes on; the error is logged.
    fn pin(&self, master: &MasterName, key: &PublicKey) -> io::Result<()>;

    /// The last serial that was accepted from this master's key under this AES key.
    ///
    /// # Errors
    ///
    /// A sign-in fails if it is not known: an old publication could be taken for a new one.
    fn serial(&self, master: &PublicKey, aes: KeyId) -> io::Result<Option<u64>>;

    /// Remembers a serial. It is called before the job runs, for every publication, so it needs not
    /// survive a power cut, only the process.
    ///
    /// # Errors
    ///
    /// The job runs all the same; the error is logged.
    fn remember_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> io::Result<()>;
}

/// A key that vouches for masters.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// The name of its file, for the log: `master_sign.pub`.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// A store in memory: for tests, simulations and programs that keep state elsewhere.
#[derive(Debug, Default)]
pub struct Memory {
    signing_keys: Vec<SigningKey>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revoked: BTreeSet<KeyHash>,
    pinned: BTreeMap<MasterName, PublicKey>,
    serials: BTreeMap<(KeyHash, String), u64>,
}

impl Memory {
    /// Trusts these signing keys and nobody revoked.
    #[must_use]
    pub fn new(signing_keys: Vec<SigningKey>) -> Self {
        Self {
            signing_keys,
            ..Self::default()
        }
    }

    /// The same, without these masters' keys.
    #[must_use]
    pub fn without(self, revoked: BTreeSet<KeyHash>) -> Self {
        self.with(|state| state.revoked = revoked);
        self
    }

    /// Trusts this master's key no longer.
    pub fn revoke(&self, key: KeyHash) {
        self.with(|state| state.revoked.insert(key));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Memory {
    fn signing_keys(&self) -> io::Result<Vec<SigningKey>> {
        Ok(self.signing_keys.clone())
    }

    fn revoked(&self) -> io::Result<BTreeSet<KeyHash>> {
        Ok(self.with(|state| state.revoked.clone()))
    }

    fn pinned(&self, master: &MasterName) -> io::Result<Option<PublicKey>> {
        Ok(self.with(|state| state.pinned.get(master).cloned()))
    }

    fn pin(&self, master: &MasterName, key: &PublicKey) -> io::Result<()> {
        self.with(|state| state.pinned.insert(master.clone(), key.clone()));
        Ok(())
    }

    fn serial(&self, master: &PublicKey, aes: KeyId) -> io::Result<Option<u64>> {
        Ok(self.with(|state| {
            state
                .serials
                .get(&(master.hash(), aes.to_string()))
                .copied()
        }))
    }

    fn remember_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> io::Result<()> {
        self.with(|state| {
            state
                .serials
                .insert((master.hash(), aes.to_string()), serial)
        });
        Ok(())
    }
}

/// Salt's `pki_dir`.
impl Store for pki::Store {
    fn signing_keys(&self) -> io::Result<Vec<SigningKey>> {
        let now = super::clock::now();
        let keys = Self::signing_keys(self).map_err(io::Error::other)?;
        let current = keys.into_iter().filter(|signer| signer.is_current(now));
        Ok(current
            .map(|signer| SigningKey {
                name: signer.name,
                key: signer.key,
            })
            .collect())
    }

    fn revoked(&self) -> io::Result<BTreeSet<KeyHash>> {
        Self::revoked(self).map_err(io::Error::other)
    }

    fn pinned(&self, master: &MasterName) -> io::Result<Option<PublicKey>> {
        Self::pinned(self, master).map_err(io::Error::other)
    }

    fn pin(&self, master: &MasterName, key: &PublicKey) -> io::Result<()> {
        Self::pin(self, master, key).map_err(io::Error::other)
    }

    fn serial(&self, master: &PublicKey, aes: KeyId) -> io::Result<Option<u64>> {
        Self::serial(self, master, aes).map_err(io::Error::other)
    }

    fn remember_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> io::Result<()> {
        self.keep_serial(master, aes, serial)
            .map_err(io::Error::other)
    }
}
