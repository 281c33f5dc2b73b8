//! What a minion sent, as a master reads it.

use minion::verify::{Algorithm, PublicKey};
use minion::wire::msgpack::{Fields, Value, decode};
use minion::wire::private_key::Encryption;

use super::reply::Load;

/// A request before its seal is opened.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A sign-in.
    Auth(Box<Auth>),
    /// Salt's probe in clear.
    Ping,
    /// A request under a session key.
    Sealed(Sealed),
    /// Anything else; a master answers `bad load`.
    Unreadable,
}

impl Request {
    /// Reads one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or(Self::Unreadable)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut outer = Fields::decode(bytes).ok()?;
        let version = outer.unsigned("version").ok()?;
        match outer.text("enc").ok()?.as_str() {
            "clear" => {
                let mut load = Fields::new(outer.take("load")?).ok()?;
                match load.text("cmd").ok()?.as_str() {
                    "_auth" => Auth::read(version, &mut load).map(|auth| Self::Auth(auth.into())),
                    "ping" => Some(Self::Ping),
                    _ => None,
                }
            }
            "aes" => Some(Self::Sealed(Sealed {
                version,
                id: outer.text("id").ok()?,
                load: outer.bytes("load").ok()?,
            })),
            _ => None,
        }
    }
}

/// A sign-in.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// The protocol's version.
    pub version: u64,
    /// The minion's id.
    pub id: String,
    /// What the answer must repeat.
    pub nonce: String,
    /// `enc_algo`.
    pub enc_algo: String,
    /// `sig_algo`.
    pub sig_algo: String,
    /// The minion's secret under the key that it knows of this master, if it knows one.
    pub token: Option<Vec<u8>>,
    /// The minion's key.
    pub key: PublicKey,
}

impl Auth {
    fn read(version: u64, load: &mut Fields) -> Option<Self> {
        Some(Self {
            version,
            id: load.text("id").ok()?,
            nonce: load.text("nonce").ok()?,
            enc_algo: load.text("enc_algo").ok()?,
            sig_algo: load.text("sig_algo").ok()?,
            token: load.optional_bytes("token").ok()?,
            key: PublicKey::decode(&load.text("pub").ok()?).ok()?,
        })
    }

    /// The algorithm that the minion wants to be encrypted to with, if Salt has it.
    #[must_use]
    pub fn encryption(&self) -> Option<Encryption> {
        self.enc_algo.parse().ok()
    }

    /// The algorithm that the minion wants signatures by, if Salt has it.
    #[must_use]
    pub fn signing(&self) -> Option<Algorithm> {
        self.sig_algo.parse().ok()
    }
}

/// A request under a session key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The protocol's version.
    pub version: u64,
    /// Whose session.
    pub id: String,
    /// What the session key opens.
    pub load: Vec<u8>,
}

/// The entries of an opened load.
#[must_use]
pub fn entries(plain: &[u8]) -> Option<Load> {
    match decode(plain).ok()? {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

/// A field of a load.
#[must_use]
pub fn field<'a>(load: &'a [(Value, Value)], name: &str) -> Option<&'a Value> {
    let found = load.iter().find(|(key, _)| key.as_text() == Some(name));
    found.map(|(_, value)| value)
}

/// A text in a load.
#[must_use]
pub fn text<'a>(load: &'a [(Value, Value)], name: &str) -> Option<&'a str> {
    field(load, name).and_then(Value::as_text)
}
