//! The names of the rows.
//!
//! A key's row is named by its hash alone, not by master and hash: that a hash belongs to one
//! master is then a property of the database and not of the code that checks it. Numbers in names
//! have twenty digits, so that the order of the names is the order of the numbers.

use std::fmt;

use minion::verify::{Algorithm, KeyHash};

use super::backend::Key;
use crate::authorize::MasterId;

/// A row, by what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    /// Which of the signing keys is active.
    ActiveSigningKey,
    /// Where the audit chain ends.
    AuditHead,
    /// One record of the audit chain.
    AuditRecord(u64),
    /// A master's key.
    Key(KeyHash),
    /// A PIN that is not tried again, by its tag.
    Latch([u8; 32]),
    /// A master.
    Master(MasterId),
    /// The version of this layout.
    Schema,
    /// A signature: signing key, algorithm, key.
    Signature(KeyHash, Algorithm, KeyHash),
    /// A signing key.
    SigningKey(KeyHash),
    /// An operator's decision, by master and generation.
    Statement(MasterId, u64),
    /// The identity of the store.
    Store,
}

impl Row {
    /// The name of the row.
    pub(super) fn name(&self) -> Key {
        Key::trusted(self.to_string())
    }

    /// Reads a name back; none for a name that [`name`](Self::name) does not make.
    pub(super) fn parse(key: &Key) -> Option<Self> {
        let mut parts = key.as_str().split('/');
        let row = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("signing-key-active", None, None, None) => Self::ActiveSigningKey,
            ("audit", Some("head"), None, None) => Self::AuditHead,
            ("audit", Some("record"), Some(seq), None) => Self::AuditRecord(seq.parse().ok()?),
            ("key", Some(hash), None, None) => Self::Key(hash.parse().ok()?),
            ("pin-latch", Some(tag), None, None) => {
                Self::Latch(hex::decode(tag).ok()?.try_into().ok()?)
            }
            ("master", Some(id), None, None) => Self::Master(id.parse().ok()?),
            ("meta", Some("schema"), None, None) => Self::Schema,
            ("meta", Some("store"), None, None) => Self::Store,
            ("signature", Some(signer), Some(algorithm), Some(hash)) => Self::Signature(
                signer.parse().ok()?,
                algorithm.parse().ok()?,
                hash.parse().ok()?,
            ),
            ("signing-key", Some(hash), None, None) => Self::SigningKey(hash.parse().ok()?),
            ("statement", Some(id), Some(generation), None) => {
                Self::Statement(id.parse().ok()?, generation.parse().ok()?)
            }
            _ => return None,
        };
        (row.to_string() == key.as_str()).then_some(row)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActiveSigningKey => f.write_str("signing-key-active"),
            Self::AuditHead => f.write_str("audit/head"),
            Self::AuditRecord(seq) => write!(f, "{AUDIT_RECORDS}{seq:020}"),
            Self::Key(hash) => write!(f, "key/{hash}"),
            Self::Latch(tag) => write!(f, "pin-latch/{}", hex::encode(tag)),
            Self::Master(id) => write!(f, "master/{id}"),
            Self::Schema => f.write_str("meta/schema"),
            Self::Signature(signer, algorithm, hash) => {
                write!(f, "signature/{signer}/{algorithm}/{hash}")
            }
            Self::SigningKey(hash) => write!(f, "signing-key/{hash}"),
            Self::Statement(id, generation) => write!(f, "statement/{id}/{generation:020}"),
            Self::Store => f.write_str("meta/store"),
        }
    }
}

/// What the names of all audit records begin with.
pub(super) const AUDIT_RECORDS: &str = "audit/record/";

/// What the names of all other rows begin with.
pub(super) const PREFIXES: [&str; 7] = [
    "key/",
    "master/",
    "meta/",
    "pin-latch/",
    "signature/",
    "signing-key",
    "statement/",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_read_back_and_has_a_known_prefix() {
        let (one, two) = (KeyHash::new([1; 32]), KeyHash::new([2; 32]));
        let id: MasterId = "salt-1.example.org".parse().unwrap();
        for row in [
            Row::ActiveSigningKey,
            Row::Key(one),
            Row::Latch([3; 32]),
            Row::Master(id.clone()),
            Row::Schema,
            Row::Signature(one, Algorithm::Sha224, two),
            Row::SigningKey(two),
            Row::Statement(id, 17),
            Row::Store,
        ] {
            let name = row.name();
            assert!(
                PREFIXES
                    .iter()
                    .any(|prefix| name.as_str().starts_with(prefix))
            );
            assert_eq!(Row::parse(&name), Some(row));
        }
        for row in [Row::AuditHead, Row::AuditRecord(u64::MAX)] {
            assert_eq!(Row::parse(&row.name()), Some(row.clone()));
        }
    }

    #[test]
    fn another_spelling_of_a_name_is_no_name() {
        for name in [
            "audit/record/7",
            "key/00",
            "master/a/b",
            "statement/m/+1",
            "x",
        ] {
            assert_eq!(Row::parse(&Key::new(name).unwrap()), None, "{name}");
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let id: MasterId = "m".repeat(253).parse().unwrap();
        Key::new(Row::Statement(id, u64::MAX).to_string()).unwrap();
    }
}
