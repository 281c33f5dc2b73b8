//! One line of the audit log, and the exact bytes that stand for it.
//!
//! The bytes are JSON with the fields in a fixed order, and they are stored just as they were
//! hashed: nothing is ever encoded again to find out what a hash was made of. Reading is strict for
//! the same reason, a text that we would have written differently is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;

/// A record in its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    v: u32,
    /// The place in the chain; the first record has 1.
    pub seq: u64,
    /// The hash of the record before, all zeros in the first.
    pub prev: Digest,
    /// When the change was decided.
    pub time: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// What it was done to, for people.
    pub subject: String,
    /// More about it: `master`, `key`, `generation`, `statement`, and so on.
    pub detail: BTreeMap<String, String>,
    /// Each row that was written, by its name in the store, with the SHA-256 of its value; none
    /// for a removed row.
    pub writes: BTreeMap<String, Option<Digest>>,
}

impl Record {
    /// Reads a record from its exact bytes.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not what [`to_bytes`](Self::to_bytes) writes for the record that they
    /// seem to be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        let record: Self = serde_json::from_slice(bytes).map_err(|_| ReadError::Malformed)?;
        if record.v > VERSION {
            return Err(ReadError::Newer { version: record.v });
        }
        if record.v == VERSION && record.to_bytes()? == bytes {
            Ok(record)
        } else {
            Err(ReadError::Malformed)
        }
    }

    /// The bytes that are hashed and stored.
    ///
    /// # Errors
    ///
    /// Fails only for a time outside the years that a [`Timestamp`] can write.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReadError> {
        serde_json::to_vec(self).map_err(|_| ReadError::Malformed)
    }

    /// The hash of a record's bytes, which the next record carries.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(bytes);
        Digest(hash.finalize().into())
    }
}

/// What happened, before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When the change was decided.
    pub time: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// What it was done to, for people.
    pub subject: String,
    /// More about it.
    pub detail: BTreeMap<String, String>,
    /// The rows that it writes.
    pub writes: BTreeMap<String, Option<Digest>>,
}

impl Event {
    /// Puts the event in its place.
    #[must_use]
    pub fn chain(self, seq: u64, prev: Digest) -> Record {
        let Self {
            time,
            actor,
            action,
            subject,
            detail,
            writes,
        } = self;
        Record {
            v: VERSION,
            seq,
            prev,
            time,
            actor,
            action,
            subject,
            detail,
            writes,
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The identity of the certificate, `mastersign:admin:ada`, or `mastersign:service` for the
    /// service itself.
    pub identity: String,
    /// SHA-256 of the certificate's DER encoding, where there was a certificate.
    #[serde(with = "optional_hex")]
    pub certificate: Option<[u8; 32]>,
}

impl Actor {
    /// The service itself, for what nobody asked for.
    #[must_use]
    pub fn service() -> Self {
        Self {
            identity: "mastersign:service".to_owned(),
            certificate: None,
        }
    }

    /// Somebody on the service's own machine, known to its kernel by this user id.
    #[must_use]
    pub fn local(user: u32) -> Self {
        Self {
            identity: format!("local:uid={user}"),
            certificate: None,
        }
    }
}

/// What a record says was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// An operator accepted a key.
    KeyAccepted,
    /// A master showed a further key; it is listed for the operator and never signed as it is.
    KeyDenied,
    /// An operator had a key forgotten that waited or was rejected.
    KeyForgotten,
    /// A master showed its first key, or one after the earlier ones were rejected or revoked; it
    /// waits.
    KeyPresented,
    /// An operator rejected a key.
    KeyRejected,
    /// An operator moved a key from one id to another, where it waits.
    KeyRenamed,
    /// An operator barred a key for ever.
    KeyRevoked,
    /// Somebody ran a command on the service's own machine that touches keys or certificates.
    LocalCommand,
    /// An operator lifted the bar of a master, for one new key.
    MasterReinstated,
    /// An operator barred a master and every key it has.
    MasterRevoked,
    /// A PIN was wrong at a token and is not tried again.
    PinLatched,
    /// An operator allowed the PIN to be tried again.
    PinUnlatched,
    /// A proof of possession did not hold.
    ProofRefused,
    /// A signature was stored and may be served; the master that it was made for has it.
    SignaturePublished,
    /// Somebody else than that master read a signature for the first time.
    SignatureServed,
    /// The first signing key became the active one.
    SigningKeyAdded,
    /// The store began; always the first record and never another.
    StoreCreated,
}

impl Action {
    /// The word in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyAccepted => "key-accepted",
            Self::KeyDenied => "key-denied",
            Self::KeyForgotten => "key-forgotten",
            Self::KeyPresented => "key-presented",
            Self::KeyRejected => "key-rejected",
            Self::KeyRenamed => "key-renamed",
            Self::KeyRevoked => "key-revoked",
            Self::LocalCommand => "local-command",
            Self::MasterReinstated => "master-reinstated",
            Self::MasterRevoked => "master-revoked",
            Self::PinLatched => "pin-latched",
            Self::PinUnlatched => "pin-unlatched",
            Self::ProofRefused => "proof-refused",
            Self::SignaturePublished => "signature-published",
            Self::SignatureServed => "signature-served",
            Self::SigningKeyAdded => "signing-key-added",
            Self::StoreCreated => "store-created",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A SHA-256 value in the chain, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What the first record carries as the hash of the one before.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 over plain bytes: the value of a row, the text of a statement.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text).map(Self).ok_or(DigestError)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no [`Digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lower-case hexadecimal digits")]
pub struct DigestError;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not what this version writes.
    #[error("the bytes are not a record in its canonical form")]
    Malformed,
    /// A later version of Mastersign wrote the record.
    #[error("the record has version {version}, and this program knows version {VERSION}")]
    Newer {
        /// The version that the record names.
        version: u32,
    },
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

mod optional_hex {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::ref_option,
        reason = "serde calls it with a reference to the field"
    )]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.serialize_some(&hex::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::unhex(&text).ok_or(super::DigestError))
            .transpose()
            .map_err(serde::de::Error::custom)
    }
}

const VERSION: u32 = 1;
const DOMAIN: &[u8] = b"mastersign-audit-record-v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let event = Event {
            time: Timestamp::from_unix(1_795_314_306).unwrap_or_else(|_| unreachable!()),
            actor: Actor {
                identity: "mastersign:admin:ada".to_owned(),
                certificate: Some([7; 32]),
            },
            action: Action::KeyAccepted,
            subject: "m1".to_owned(),
            detail: BTreeMap::from([("generation".to_owned(), "1".to_owned())]),
            writes: BTreeMap::from([
                ("key/a".to_owned(), Some(Digest::ZERO)),
                ("key/b".to_owned(), None),
            ]),
        };
        event.chain(2, Digest::ZERO)
    }

    #[test]
    fn the_bytes_are_pinned() {
        let zero = "0".repeat(64);
        let seven = "07".repeat(32);
        let expected = format!(
            "{}{}{}{}",
            format_args!(r#"{{"v":1,"seq":2,"prev":"{zero}","time":"2026-11-22T02:25:06Z","#),
            format_args!(
                r#""actor":{{"identity":"mastersign:admin:ada","certificate":"{seven}"}},"#
            ),
            r#""action":"key-accepted","subject":"m1","detail":{"generation":"1"},"#,
            format_args!(r#""writes":{{"key/a":"{zero}","key/b":null}}}}"#),
        );
        let bytes = record().to_bytes().unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(Record::from_bytes(&bytes).unwrap(), record());
    }

    #[test]
    fn the_hash_is_separated_from_a_plain_sha256() {
        let bytes = record().to_bytes().unwrap();
        assert_ne!(Record::hash(&bytes), Digest::of(&bytes));
    }

    #[test]
    fn another_spelling_of_the_same_record_is_refused() {
        let text = String::from_utf8(record().to_bytes().unwrap()).unwrap();
        let spaced = text.replacen(',', ", ", 1);
        let doubled = text.replacen("\"v\":1", "\"v\":1,\"extra\":0", 1);
        let upper = text.replace("key-accepted", "Key-accepted");
        for bad in [spaced, doubled, upper, format!("{text}\n")] {
            assert_eq!(
                Record::from_bytes(bad.as_bytes()),
                Err(ReadError::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_record_of_a_later_version_is_named_as_such() {
        let text = String::from_utf8(record().to_bytes().unwrap()).unwrap();
        let newer = text.replacen("\"v\":1", "\"v\":2", 1);
        assert_eq!(
            Record::from_bytes(newer.as_bytes()),
            Err(ReadError::Newer { version: 2 })
        );
    }

    #[test]
    fn each_action_is_written_as_it_is_named() {
        for action in [
            Action::KeyAccepted,
            Action::KeyForgotten,
            Action::KeyRenamed,
            Action::LocalCommand,
            Action::MasterReinstated,
            Action::PinUnlatched,
            Action::ProofRefused,
            Action::SignatureServed,
            Action::StoreCreated,
        ] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
    }
}
