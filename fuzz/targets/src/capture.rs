//! The recorded conversations (`minion/tests/vectors/README.md`), with the keys that were made for
//! them.
#![expect(
    clippy::disallowed_types,
    reason = "vectors are constants, and a target has no argument but its input"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use minion::wire::auth::{Handshake, Identity, Token, Trust};
use minion::wire::crypticle::Crypticle;
use minion::wire::envelope::Algorithms;
use minion::wire::id::MinionId;
use minion::wire::msgpack::{Fields, Value, decode};
use minion::wire::nonce::Nonce;
use minion::wire::private_key::{Encryption, PrivateKey};
use minion::wire::request::Requests;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::Value as Json;

/// Salt's folders in `vectors/wire`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../minion/tests/vectors")
}

/// Every recorded frame of this kind: `.reply`, `.request` or `.pub`, of all versions and cases.
pub(crate) fn frames(kind: &str) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for version in entries(&root().join("wire")) {
        for case in entries(&version) {
            for file in entries(&case) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                if name.ends_with(&format!("{kind}.hex")) {
                    frames.push(frame(&file));
                }
            }
        }
    }
    assert!(!frames.is_empty(), "no frame of the kind {kind}");
    frames
}

pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn frame(file: &Path) -> Vec<u8> {
    hex::decode(fs::read_to_string(file).unwrap().trim()).unwrap()
}

/// The `job` case of 3008.5: a sign-in with a token, publications and returns.
pub(crate) static JOB: LazyLock<Capture> = LazyLock::new(|| Capture::open("job"));

/// A sign-in of the same version to a master that is known.
pub(crate) static KNOWN: LazyLock<Capture> = LazyLock::new(|| Capture::open("auth_accepted_token"));

/// One conversation and the keys in it.
pub(crate) struct Capture {
    folder: PathBuf,
    id: MinionId,
    minion: PrivateKey,
    token: Token,
    nonce: [u8; 16],
    signing_keys: Vec<PublicKey>,
    revoked: BTreeSet<minion::verify::KeyHash>,
    aes: String,
    session: String,
    /// Whether the recorded request had a token, which it has for a known master.
    sent_token: bool,
    pub(crate) master: PublicKey,
    master_key: PKey<Private>,
}

impl Capture {
    fn open(case: &str) -> Self {
        let folder = root().join("wire/3008.5").join(case);
        let keys: Json =
            serde_json::from_slice(&fs::read(folder.join("keys.json")).unwrap()).unwrap();
        let text = |key: &str| keys.get(key).unwrap().as_str().unwrap().to_owned();
        let mut outer = Fields::decode(&frame(&folder.join("auth.request.hex"))).unwrap();
        let mut load = Fields::new(outer.take("load").unwrap()).unwrap();
        let nonce = hex::decode(load.text("nonce").unwrap()).unwrap();
        let token = STANDARD.decode(text("minion_token")).unwrap();
        Self {
            id: load.text("id").unwrap().parse().unwrap(),
            minion: PrivateKey::from_pem(text("minion_pem").as_bytes()).unwrap(),
            token: Token::new(&token.try_into().unwrap()),
            nonce: nonce.try_into().unwrap(),
            signing_keys: vec![PublicKey::parse(text("master_sign_pub").as_bytes()).unwrap()],
            revoked: BTreeSet::new(),
            aes: text("aes"),
            session: text("session"),
            sent_token: load.take("token").is_some(),
            master: PublicKey::parse(text("master_pub").as_bytes()).unwrap(),
            master_key: PKey::private_key_from_pem(text("master_pem").as_bytes()).unwrap(),
            folder,
        }
    }

    pub(crate) fn frame(&self, name: &str) -> Vec<u8> {
        frame(&self.folder.join(format!("{name}.hex")))
    }

    /// The attempt that the recorded request began.
    pub(crate) fn attempt(&self) -> Handshake<'_> {
        let trust = Trust {
            signing_keys: &self.signing_keys,
            revoked: &self.revoked,
            finger: None,
            known: self.sent_token.then_some(&self.master),
        };
        Handshake::begin(self.identity(), trust, self.nonce())
            .unwrap()
            .0
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::new(self.nonce)
    }

    pub(crate) fn requests(&self) -> Requests {
        Requests::new(self.crypticle_of(&self.session), &self.identity())
    }

    pub(crate) fn aes(&self) -> Crypticle {
        self.crypticle_of(&self.aes)
    }

    /// The raw key under which publications are sealed.
    pub(crate) fn aes_bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.aes).unwrap()
    }

    /// PKCS#1 v1.5 with SHA-1 by the master's key, as a hostile master would sign what it likes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signer = Signer::new(MessageDigest::sha1(), &self.master_key).unwrap();
        signer.sign_oneshot_to_vec(message).unwrap()
    }

    fn crypticle_of(&self, text: &str) -> Crypticle {
        Crypticle::parse(text.as_bytes()).unwrap()
    }

    const fn identity(&self) -> Identity<'_> {
        Identity {
            id: &self.id,
            key: &self.minion,
            token: &self.token,
            algorithms: ALGORITHMS,
            autosign_grains: None,
        }
    }
}

const ALGORITHMS: Algorithms = Algorithms {
    signing: Algorithm::Sha1,
    encryption: Encryption::Sha1,
};

/// The bytes of a field of a map.
pub(crate) fn field(frame: &[u8], name: &'static str) -> Option<Vec<u8>> {
    match decode(frame).ok()? {
        map @ Value::Map(_) => Fields::new(map).ok()?.optional_bytes(name).ok()?,
        _ => None,
    }
}
