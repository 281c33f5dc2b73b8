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
use serde_json::Value as Json;
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

/// The key of the master, of which the decisions and the request are.
#[must_use]
pub fn master_key() -> &'static Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| kept("master"));
    &KEY
}

/// The signing key beside it.
#[must_use]
pub fn signing_key() -> &'static Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| kept("master_sign"));
    &KEY
}

/// Salt's own keys, made for a recording of another day: those of `minion/tests/vectors` are made
/// anew, and the papers are not.
fn kept(name: &str) -> Key {
    let keys: Json = serde_json::from_slice(&paper("salt-keys.json")).unwrap();
    let text = |half: &str| {
        let key = keys.get(format!("{name}_{half}")).unwrap();
        key.as_str().unwrap().to_owned()
    };
    Key {
        public: PublicKey::parse(text("pub").as_bytes()).unwrap(),
        private: PKey::private_key_from_pem(text("pem").as_bytes()).unwrap(),
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
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
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

/// The master's id.
pub const MASTER: &str = "salt-1";
/// The admin's name.
pub const ADMIN: &str = "ada";
/// The store's id.
pub const STORE: &str = "6f1c2a34-0000-4000-8000-0123456789ab";
/// When everything was made.
pub const NOW: &str = "2026-11-22T02:25:06Z";
