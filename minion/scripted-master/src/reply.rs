//! What a minion gets, as entries that a test may change before they are signed and after.

use minion::verify::{Algorithm, PublicKey};
use minion::wire::msgpack::{Value, encode};
use minion::wire::private_key::Encryption;

use super::keys::{Keypair, encrypt};
use super::seal::SharedKey;

/// The entries of a map in the order of the wire.
pub type Load = Vec<(Value, Value)>;

/// What a master puts into the answer that lets a minion in.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The text of the master's key.
    pub pub_key: String,
    /// Where it publishes.
    pub publish_port: u64,
    /// The signature of the master's key in base64.
    pub pub_sig: String,
    /// The minion's token under the minion's key.
    pub token: Option<Vec<u8>>,
    /// The AES key under the minion's key.
    pub aes: Vec<u8>,
    /// The session key under the minion's key.
    pub session: Vec<u8>,
    /// The X9.31 signature of the AES key.
    pub sig: Vec<u8>,
    /// The request's nonce.
    pub nonce: String,
}

impl Accepted {
    /// The load as Salt orders it (Salt 3008.5, `salt/master.py`, `AuthFuncs._auth`).
    #[must_use]
    pub fn into_load(self) -> Load {
        let mut load = vec![
            ("enc".into(), "pub".into()),
            ("pub_key".into(), self.pub_key.as_str().into()),
            ("publish_port".into(), self.publish_port.into()),
            ("pub_sig".into(), self.pub_sig.as_str().into()),
        ];
        if let Some(token) = self.token {
            load.push(("token".into(), token.into()));
        }
        load.extend([
            ("aes".into(), self.aes.into()),
            ("session".into(), self.session.into()),
            ("sig".into(), self.sig.into()),
            ("nonce".into(), self.nonce.as_str().into()),
        ]);
        load
    }
}

/// A shared key under a minion's key.
#[must_use]
pub fn hand_over(key: &SharedKey, minion: &PublicKey, encryption: Encryption) -> Vec<u8> {
    encrypt(minion, encryption, key.text().as_bytes())
}

/// The load of an answer that does not let a minion in: `ret` is true for "pending", false for
/// "rejected", or the text `full`.
#[must_use]
pub fn turned_away(ret: Value, nonce: &str) -> Load {
    vec![("ret".into(), ret), ("nonce".into(), nonce.into())]
}

/// Signs a load and wraps it (Salt 3008.5, `salt/master.py`, `AuthFuncs._clear_signed`).
#[must_use]
pub fn signed(load: &[u8], key: &Keypair, algorithm: Algorithm) -> Load {
    vec![
        ("enc".into(), "clear".into()),
        ("load".into(), load.into()),
        ("sig".into(), key.sign(algorithm, load).into()),
    ]
}

/// A refusal of an algorithm, which no master signs.
#[must_use]
pub fn in_clear(ret: Value) -> Load {
    let load = Value::Map(vec![("ret".into(), ret)]);
    vec![("enc".into(), "clear".into()), ("load".into(), load)]
}

/// Writes entries.
#[must_use]
pub fn pack(load: Load) -> Vec<u8> {
    encode(&Value::Map(load)).unwrap()
}

/// Changes an entry, or adds it at the end.
pub fn set(load: &mut Load, name: &str, value: impl Into<Value>) {
    let value = value.into();
    match load.iter_mut().find(|(key, _)| key.as_text() == Some(name)) {
        Some((_, old)) => *old = value,
        None => load.push((name.into(), value)),
    }
}

/// Removes an entry.
pub fn remove(load: &mut Load, name: &str) {
    load.retain(|(key, _)| key.as_text() != Some(name));
}
