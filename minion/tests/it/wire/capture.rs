//! What real masters and a minion said to each other; `tests/vectors/README.md` says how it was
//! recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, Fingerprint, KeyHash, PublicKey};
use minion::wire::auth::{Handshake, Identity, Refusal, Session, Token, Trust};
use minion::wire::crypticle::Crypticle;
use minion::wire::envelope::Algorithms;
use minion::wire::id::MinionId;
use minion::wire::msgpack::{Fields, Value, decode};
use minion::wire::nonce::Nonce;
use minion::wire::private_key::{Encryption, PrivateKey};
use minion::wire::publish::Publications;
use minion::wire::request::Requests;
use serde_json::Value as Json;

/// One recorded conversation.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    folder: PathBuf,
    pub(crate) case: String,
    keys: Json,
}

pub(crate) fn captures() -> Vec<Capture> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/wire"));
    let mut captures = Vec::new();
    for version in ["3006.30", "3007.17", "3008.5"] {
        for entry in fs::read_dir(root.join(version)).unwrap() {
            let case = entry.unwrap().file_name().into_string().unwrap();
            captures.push(Capture::open(version, &case));
        }
    }
    assert_eq!(captures.len(), 126, "a folder is missing or new");
    captures
}

impl Capture {
    pub(crate) fn open(version: &str, case: &str) -> Self {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/wire"));
        let folder = root.join(version).join(case);
        let keys = fs::read(folder.join("keys.json")).unwrap();
        let keys = serde_json::from_slice(&keys).unwrap();
        Self {
            folder,
            case: case.to_owned(),
            keys,
        }
    }

    /// The names of the recorded frames, without their ending.
    pub(crate) fn frames(&self) -> Vec<String> {
        let files = fs::read_dir(&self.folder).unwrap();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter_map(|name| name.strip_suffix(".hex").map(str::to_owned))
            .collect()
    }

    pub(crate) fn frame(&self, name: &str) -> Vec<u8> {
        let text = fs::read_to_string(self.folder.join(format!("{name}.hex"))).unwrap();
        hex::decode(text.trim()).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.hex")).exists()
    }

    pub(crate) fn json(&self, name: &str) -> Json {
        let text = fs::read(self.folder.join(format!("{name}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.keys[key]
            .as_str()
            .unwrap_or_else(|| panic!("{}: no {key}", self.case))
    }

    pub(crate) fn crypticle(&self, key: &str) -> Crypticle {
        Crypticle::parse(self.text(key).as_bytes()).unwrap()
    }

    pub(crate) fn minion(&self) -> PrivateKey {
        PrivateKey::from_pem(self.text("minion_pem").as_bytes()).unwrap()
    }

    pub(crate) fn master(&self) -> PublicKey {
        PublicKey::parse(self.text("master_pub").as_bytes()).unwrap()
    }

    pub(crate) fn signer(&self) -> PublicKey {
        PublicKey::parse(self.text("master_sign_pub").as_bytes()).unwrap()
    }

    pub(crate) fn token(&self) -> Token {
        let raw = STANDARD.decode(self.text("minion_token")).unwrap();
        Token::new(&raw.try_into().unwrap())
    }

    /// The load of the recorded `_auth` request.
    pub(crate) fn request(&self) -> Fields {
        let mut outer = Fields::decode(&self.frame("auth.request")).unwrap();
        Fields::new(outer.take("load").unwrap()).unwrap()
    }

    pub(crate) fn nonce(&self) -> Nonce {
        nonce(&self.request().text("nonce").unwrap())
    }

    /// What the minion was configured with. Those that name an algorithm that Salt does not have
    /// were made by a stock minion otherwise.
    pub(crate) fn algorithms(&self) -> Algorithms {
        let mut request = self.request();
        let mut named = |field| request.text(field).unwrap();
        Algorithms {
            signing: named("sig_algo").parse().unwrap_or(Algorithm::Sha1),
            encryption: named("enc_algo").parse().unwrap_or(Encryption::Sha1),
        }
    }

    /// The key that the minion knew of this master, which is the one of a token in its request.
    pub(crate) fn known(&self) -> Option<PublicKey> {
        self.request().take("token")?;
        let former = self.keys["known_pub"].as_str();
        Some(former.map_or_else(|| self.master(), |pem| PublicKey::decode(pem).unwrap()))
    }

    /// The recorded publications by serial.
    pub(crate) fn published(&self) -> BTreeMap<u64, String> {
        let names = self.frames().into_iter();
        let names = names.filter(|name| name.ends_with(".pub"));
        let by_serial = names.map(|name| {
            let serial = self.json(&name)["load_msgpack"]["serial"].as_u64();
            (serial.unwrap(), name)
        });
        by_serial.collect()
    }

    /// The reader of those publications.
    pub(crate) fn publications(&self) -> Publications {
        let algorithm = match self.case.as_str() {
            "job_sha224" => Algorithm::Sha224,
            _ => Algorithm::Sha1,
        };
        Publications::new(self.crypticle("aes"), self.master(), algorithm, None)
    }

    /// The load of an answer to `_auth`.
    pub(crate) fn reply_load(&self) -> Vec<(Value, Value)> {
        let mut outer = Fields::decode(&self.frame("auth.reply")).unwrap();
        match decode(&outer.bytes("load").unwrap()).unwrap() {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }
}

/// The minion of a recording, with its keys read once.
pub(crate) struct Party {
    pub(crate) id: MinionId,
    pub(crate) key: PrivateKey,
    pub(crate) token: Token,
    pub(crate) algorithms: Algorithms,
    pub(crate) nonce: String,
    pub(crate) signing_keys: Vec<PublicKey>,
    pub(crate) revoked: BTreeSet<KeyHash>,
    pub(crate) finger: Option<Fingerprint>,
    pub(crate) session: Option<String>,
    autosign_grains: Option<Value>,
}

impl Party {
    pub(crate) fn new(capture: &Capture) -> Self {
        Self {
            id: capture.text("minion_id").parse().unwrap(),
            key: capture.minion(),
            token: capture.token(),
            algorithms: capture.algorithms(),
            nonce: capture.request().text("nonce").unwrap(),
            signing_keys: vec![capture.signer()],
            revoked: BTreeSet::new(),
            finger: None,
            session: capture.keys["session"].as_str().map(str::to_owned),
            autosign_grains: capture.request().take("autosign_grains"),
        }
    }

    pub(crate) fn begin<'a>(&'a self, known: Option<&'a PublicKey>) -> (Handshake<'a>, Vec<u8>) {
        let trust = Trust {
            signing_keys: &self.signing_keys,
            revoked: &self.revoked,
            finger: self.finger,
            known,
        };
        Handshake::begin(self.identity(), trust, nonce(&self.nonce)).unwrap()
    }

    /// Signs in; `known` is what this minion knows of the master.
    pub(crate) fn answer(
        &self,
        known: Option<&PublicKey>,
        reply: &[u8],
    ) -> Result<Session, Refusal> {
        self.begin(known).0.finish(reply)
    }

    pub(crate) fn requests(&self) -> Requests {
        let session = Crypticle::parse(self.session.as_ref().unwrap().as_bytes()).unwrap();
        Requests::new(session, &self.identity())
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            id: &self.id,
            key: &self.key,
            token: &self.token,
            algorithms: self.algorithms,
            autosign_grains: self.autosign_grains.as_ref(),
        }
    }
}

pub(crate) fn nonce(text: &str) -> Nonce {
    Nonce::new(hex::decode(text).unwrap().try_into().unwrap())
}

/// Every truncation of `frame`, and 256 of its bits flipped one at a time.
pub(crate) fn damaged(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let bits = frame.len() * 8;
    let flip = move |index: usize| {
        let bit = index * bits / 256;
        let mut bytes = frame.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let truncations = (0..frame.len()).map(|length| frame[..length].to_vec());
    truncations.chain((0..256).map(flip))
}

/// Whether a value is what Python's decoder saw; it wrote bytes as `{"hex": …}`.
pub(crate) fn same(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Nil, Json::Null) => true,
        (Value::Bool(ours), Json::Bool(theirs)) => ours == theirs,
        (Value::Unsigned(ours), Json::Number(theirs)) => theirs.as_u64() == Some(*ours),
        (Value::Signed(ours), Json::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Value::Float(ours), Json::Number(theirs)) => {
            theirs.is_f64() && theirs.as_f64().map(f64::to_bits) == Some(ours.to_bits())
        }
        (Value::Raw(ours), Json::String(theirs)) => ours == theirs.as_bytes(),
        (Value::Raw(ours), Json::Object(theirs)) => {
            theirs["hex"].as_str() == Some(&hex::encode(ours))
        }
        (Value::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Map(ours), Json::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, value)| {
                    theirs
                        .get(key.as_text().unwrap())
                        .is_some_and(|json| same(value, json))
                })
        }
        _ => false,
    }
}
