//! The master's side: from a salt-master's own key to the signature file that it serves.
//!
//! The order is the point. As whoever started it, `fetch` reads its own files and Salt's
//! configuration; then it becomes the owner of `pki_dir` for good; only then it touches that
//! directory and the network. What the service answers counts for nothing until it verifies under
//! the pinned `master_sign.pub` with the code that a minion runs, because a wrong file stays
//! unnoticed until the minions fail.

mod advice;
mod ask;
pub mod directory;
pub mod drop_in;
mod error;
pub mod keys;
pub mod privilege;
pub mod salt_config;
pub mod settings;
mod settle;

use std::path::{Path, PathBuf};

use minion::verify::{PublicKey, clean_key};

use crate::authorize::{Identity, MasterId};
use crate::client::Credentials;

pub use error::Error;
pub use settle::Outcome;

use directory::{FileName, PkiDir};
use keys::MasterKeys;
use salt_config::SaltMaster;
use settings::Settings;

/// What was read before privileges were given up.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    credentials: Credentials,
    master: MasterId,
    pinned: PublicKey,
    salt: SaltMaster,
}

impl Prepared {
    /// Reads our own files and Salt's configuration.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong with it.
    pub fn read(settings: Settings) -> Result<Self, Error> {
        let credentials = Credentials::read(&settings.ca, &settings.certificate, &settings.key)
            .map_err(Error::Credentials)?;
        let Identity::Master(master) = credentials.identity().clone() else {
            return Err(Error::NotAMaster(credentials.identity().clone()));
        };
        let pinned = pinned(&settings.master_sign_pub)?;
        let salt = SaltMaster::load(&settings.salt_config).map_err(Error::SaltConfig)?;
        Ok(Self {
            settings,
            credentials,
            master,
            pinned,
            salt,
        })
    }

    /// Enters `pki_dir` as its owner and reads the master's keys.
    ///
    /// # Errors
    ///
    /// As [`privilege::enter`] and [`MasterKeys::read`].
    pub fn enter(self) -> Result<Fetch, Error> {
        let directory =
            privilege::enter(&self.salt.pki_dir, &self.salt.sources).map_err(Error::Privilege)?;
        let keys = if self.salt.key_dir == self.salt.pki_dir {
            MasterKeys::read(&directory, &self.salt)
        } else {
            let shared = privilege::beside(&self.salt.key_dir).map_err(Error::Privilege)?;
            MasterKeys::read(&shared, &self.salt)
        };
        let keys = keys.map_err(Error::Keys)?;
        let name = keys::signature_name(&directory, &self.salt).map_err(Error::Directory)?;
        Ok(Fetch {
            prepared: self,
            directory,
            keys,
            name,
        })
    }
}

/// A fetch that has everything it needs from this machine.
#[derive(Debug)]
pub struct Fetch {
    prepared: Prepared,
    directory: PkiDir,
    keys: MasterKeys,
    name: FileName,
}

impl Fetch {
    /// The file that salt-master reads.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join(self.name.as_str())
    }

    /// The name of that file.
    #[must_use]
    pub const fn name(&self) -> &FileName {
        &self.name
    }

    /// The files that decide what is asked and where it is written.
    #[must_use]
    pub fn sources(&self) -> Vec<PathBuf> {
        let salt = &self.prepared.salt;
        let mut paths: Vec<PathBuf> = salt.sources.iter().map(|it| it.path.clone()).collect();
        paths.push(salt.key_dir.join(format!("{}.pub", salt.key_name)));
        paths.push(self.file());
        paths
    }

    /// The master's public key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.keys.public
    }

    /// The pinned signing key.
    #[must_use]
    pub const fn pinned(&self) -> &PublicKey {
        &self.prepared.pinned
    }
}

fn pinned(path: &Path) -> Result<PublicKey, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::ReadPinned {
        path: path.to_owned(),
        source,
    })?;
    PublicKey::decode(&clean_key(&text)).map_err(|source| Error::Pinned {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
