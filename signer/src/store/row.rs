//! The values of the rows: JSON objects with their version.
//!
//! Rows are written by this program only, so an unknown field or version is never skipped: a row
//! that says more than we understand could say that the rest does not count.

use minion::verify::{KeyHash, PublicKey, Signature};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Error;
use super::state::StoredSignature;
use super::state::{KeyRecord, Latch, Master, SigningKeyRecord, SigningKeyState, Status};
use crate::audit::Digest;
use crate::audit::chain;
use crate::authorize::{MasterId, SignedStatement};
use crate::clock::Timestamp;

pub(super) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(row).map_err(|source| Error::Encode {
        source: std::sync::Arc::new(source),
    })
}

/// Reads a value; the error says why it cannot be read, for people.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| format!("it cannot be read: {error}"))
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemaRow {
    pub(super) v: u32,
    /// The oldest version of this program that may write to the store.
    pub(super) min_writer: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreRow {
    pub(super) v: V1,
    pub(super) uuid: Uuid,
    pub(super) created: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadRow {
    v: V1,
    seq: u64,
    hash: Digest,
}

impl From<chain::Head> for HeadRow {
    fn from(head: chain::Head) -> Self {
        let chain::Head { seq, hash } = head;
        Self { v: V1, seq, hash }
    }
}

impl From<HeadRow> for chain::Head {
    fn from(row: HeadRow) -> Self {
        let HeadRow { v: V1, seq, hash } = row;
        Self { seq, hash }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MasterRow {
    v: V1,
    pub(super) generation: u64,
    pub(super) revocation: Option<SignedStatement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reinstatement: Option<SignedStatement>,
}

impl From<&Master> for MasterRow {
    fn from(master: &Master) -> Self {
        Self {
            v: V1,
            generation: master.generation,
            revocation: master.revocation.as_deref().cloned(),
            reinstatement: master.reinstatement.as_deref().cloned(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRow {
    v: V1,
    pub(super) master: MasterId,
    pub(super) status: Status,
    pub(super) since: Timestamp,
    pub(super) public_key: Option<String>,
    pub(super) statement: Option<SignedStatement>,
}

impl KeyRow {
    pub(super) fn new(master: &MasterId, record: &KeyRecord) -> Self {
        Self {
            v: V1,
            master: master.clone(),
            status: record.status,
            since: record.since,
            public_key: record.key.as_ref().map(|key| key.canonical().to_owned()),
            statement: record.decision.as_deref().cloned(),
        }
    }

    /// The key, if the row has one, and if it is the one that the row is named by.
    pub(super) fn key(&self, hash: KeyHash) -> Result<Option<PublicKey>, String> {
        let text = self.public_key.as_deref();
        text.map(|text| named_key(text, hash)).transpose()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementRow {
    v: V1,
    signed: SignedStatement,
}

impl From<&SignedStatement> for StatementRow {
    fn from(signed: &SignedStatement) -> Self {
        Self {
            v: V1,
            signed: signed.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningKeyRow {
    v: V1,
    public_key: String,
    pub(super) state: SigningKeyState,
    pub(super) since: Timestamp,
}

impl SigningKeyRow {
    /// The key, if it is the one that the row is named by.
    pub(super) fn key(&self, hash: KeyHash) -> Result<PublicKey, String> {
        named_key(&self.public_key, hash)
    }
}

impl From<&SigningKeyRecord> for SigningKeyRow {
    fn from(record: &SigningKeyRecord) -> Self {
        Self {
            v: V1,
            public_key: record.key.canonical().to_owned(),
            state: record.state,
            since: record.since,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActiveRow {
    v: V1,
    #[serde(with = "hash")]
    pub(super) id: KeyHash,
}

impl ActiveRow {
    pub(super) const fn new(id: KeyHash) -> Self {
        Self { v: V1, id }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureRow {
    v: V1,
    signature: String,
    pub(super) master: MasterId,
    pub(super) created_at: Timestamp,
    pub(super) audit_seq: u64,
}

impl SignatureRow {
    pub(super) fn signature(&self) -> Result<Signature, String> {
        Signature::from_file(self.signature.as_bytes()).map_err(|error| error.to_string())
    }
}

impl From<&StoredSignature> for SignatureRow {
    fn from(stored: &StoredSignature) -> Self {
        Self {
            v: V1,
            signature: stored.signature.to_file().trim_end().to_owned(),
            master: stored.master.clone(),
            created_at: stored.created_at,
            audit_seq: stored.audit_seq,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LatchRow {
    v: V1,
    pub(super) serial: String,
    pub(super) reason: String,
    pub(super) since: Timestamp,
}

impl From<&Latch> for LatchRow {
    fn from(latch: &Latch) -> Self {
        Self {
            v: V1,
            serial: latch.serial.clone(),
            reason: latch.reason.clone(),
            since: latch.since,
        }
    }
}

impl From<LatchRow> for Latch {
    fn from(row: LatchRow) -> Self {
        Self {
            serial: row.serial,
            reason: row.reason,
            since: row.since,
        }
    }
}

/// The version of a row, the number 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "its version is {other}, and this program knows version 1"
            ))),
        }
    }
}

fn named_key(text: &str, hash: KeyHash) -> Result<PublicKey, String> {
    let key = PublicKey::parse(text.as_bytes())
        .map_err(|error| format!("the key in it cannot be read: {error}"))?;
    if key.hash() == hash {
        Ok(key)
    } else {
        Err(format!("it holds the key {}", key.hash()))
    }
}

mod hash {
    use minion::verify::KeyHash;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        hash: &KeyHash,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<KeyHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
