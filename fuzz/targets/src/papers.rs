//! An installation that exists only as seeds: its authorities, an admin's two decisions, a master's
//! request. `bin/papers.rs` made them and threw the authorities' keys away.
#![expect(
    clippy::disallowed_types,
    reason = "the papers are constants, and a target has no argument but its input"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use minion::verify::PublicKey;
use openssl::pkey::{PKey, Private};
use signer::clock::{Clock, Timestamp};

/// A file of `seeds/papers`.
pub(crate) fn paper(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/papers");
    fs::read(folder.join(name)).expect("a paper")
}

/// Both halves of a key.
#[derive(Clone, Debug)]
pub struct Key {
    /// What is shown.
    pub public: PublicKey,
    /// What signs.
    pub private: PKey<Private>,
}

/// The master's key.
#[must_use]
pub fn master_key() -> &'static Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| key(MASTER_KEY));
    &KEY
}

/// The signing key.
#[must_use]
pub fn signing_key() -> &'static Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| key(SIGNING_KEY));
    &KEY
}

fn key(name: &str) -> Key {
    let private = PKey::private_key_from_pem(&paper(name)).unwrap();
    let public = String::from_utf8(private.public_key_to_pem().unwrap()).unwrap();
    Key {
        public: PublicKey::decode(&public).unwrap(),
        private,
    }
}

/// The moment at which everything was made and is read.
#[derive(Clone, Copy, Debug)]
pub struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOW.parse().expect("a time")
    }
}

/// A directory for one input, with files in it.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    /// In memory where Linux has it: tens of thousands of files would wait for the disk.
    pub(crate) fn new() -> Self {
        let desk = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self(desk.expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file there that only its owner reads.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
        path
    }
}

/// The file of the master's key in `seeds/papers`.
pub const MASTER_KEY: &str = "salt-master.pem";
/// The file of the signing key.
pub const SIGNING_KEY: &str = "salt-master_sign.pem";
/// The master's id.
pub const MASTER: &str = "salt-1";
/// The admin's name.
pub const ADMIN: &str = "ada";
/// The store's id.
pub const STORE: &str = "6f1c2a34-0000-4000-8000-0123456789ab";
/// When everything was made.
pub const NOW: &str = "2026-11-22T02:25:06Z";
