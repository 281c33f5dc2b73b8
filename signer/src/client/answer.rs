//! What the service answers, as types.
//!
//! Unknown fields are ignored, so that an older client goes on working with a newer service; what a
//! client decides by is checked, and fingerprints are computed again from the key instead of being
//! believed.

use minion::verify::{Algorithm, Fingerprint, KeyHash, PublicKey, Signature};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::audit::chain::Head;
use crate::authorize::MasterId;
use crate::clock::Timestamp;

/// The trust set: `GET /v1/signing-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SigningKeys {
    /// The store's name, which statements and proofs are bound to.
    pub store: Uuid,
    /// The keys, the active one among them.
    pub signing_keys: Vec<SigningKey>,
}

/// A part of the audit log: `GET /v1/audit`.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditPage {
    /// The records, in order, as they were sent: what one of them hashes to is these very bytes, and
    /// whether they are a record is for whoever verifies them.
    pub records: Vec<Box<RawValue>>,
    /// Where the chain ends.
    pub head: Option<Head>,
}

/// One signing key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SigningKey {
    /// SHA-256 over the canonical PEM.
    #[serde(deserialize_with = "from_text")]
    pub id: KeyHash,
    /// `active`, or another word of a later version.
    pub state: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Masters {
    pub(super) masters: Vec<Master>,
}

/// A master as the service knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// The name it was accepted under.
    pub id: MasterId,
    /// How many decisions were taken about it.
    pub generation: u64,
    /// The whole id was revoked.
    #[serde(default)]
    pub barred: bool,
    /// Its keys.
    pub keys: Vec<MasterKey>,
}

/// One key of a master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKey {
    /// SHA-256 over the canonical PEM.
    #[serde(deserialize_with = "from_text", serialize_with = "to_text")]
    pub sha256: KeyHash,
    /// What was decided about it.
    pub status: KeyStatus,
    /// Since when.
    pub since: Timestamp,
    /// The canonical PEM; missing if the service only knows the hash.
    #[serde(default)]
    pub public_key: Option<String>,
}

impl MasterKey {
    /// The fingerprints, computed from the key; what the service says they are is not read.
    ///
    /// # Errors
    ///
    /// Fails if the PEM is not the key that `sha256` names: then the service or somebody on the way
    /// lies.
    pub fn fingerprints(&self) -> Result<Fingerprints, WrongKey> {
        let pem = self.public_key.as_ref().ok_or(WrongKey)?;
        let key = PublicKey::parse(pem.as_bytes()).map_err(|_| WrongKey)?;
        if key.hash() != self.sha256 {
            return Err(WrongKey);
        }
        Fingerprints::of(&key).ok_or(WrongKey)
    }
}

/// The service showed a key that is not the one it named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the service does not show the public key that has the hash it names, so its fingerprints \
     cannot be computed; decide nothing about it until somebody has looked at the service and its \
     state"
)]
pub struct WrongKey;

/// What was decided about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// May be signed.
    Accepted,
    /// Presented under an id that has another accepted key.
    Denied,
    /// Waits for an operator.
    Pending,
    /// What the service has stored about it was altered; it does not count until an operator
    /// decides anew.
    Quarantined,
    /// Refused; the decision can be changed.
    Rejected,
    /// Barred for ever.
    Revoked,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The three forms in which people compare a key, and the one that names it in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fingerprints {
    /// `salt-call key.finger_master`, `salt-key -F` of 3006 and 3007.
    pub salt: String,
    /// `salt-key -F` of 3008.5.
    pub file: String,
    /// OpenSSL and HSM tools.
    pub spki: String,
}

impl Fingerprints {
    /// Computes them; `None` only if OpenSSL cannot encode the key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Option<Self> {
        Some(Self {
            salt: Fingerprint::salt(key).to_string(),
            file: Fingerprint::file(key).to_string(),
            spki: Fingerprint::spki(key).ok()?.to_string(),
        })
    }
}

/// The answer to a request for a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The key waits for an operator.
    Pending(Pending),
    /// Here it is.
    Signed {
        /// It was made for this request.
        new: bool,
        /// The signature and what it is for.
        document: SignatureDocument,
    },
}

/// A key that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pending {
    /// The key as the service read it.
    #[serde(deserialize_with = "from_text")]
    pub public_key_sha256: KeyHash,
}

/// A signature with everything that is needed to check it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SignatureDocument {
    /// Standard base64 of the raw signature.
    pub signature: String,
    /// Which of Salt's two algorithms made it.
    #[serde(deserialize_with = "from_text")]
    pub algorithm: Algorithm,
    /// The key that was signed.
    #[serde(deserialize_with = "from_text")]
    pub public_key_sha256: KeyHash,
    /// The key that signed.
    #[serde(deserialize_with = "from_text")]
    pub signing_key: KeyHash,
    /// The master it was made for.
    pub master: MasterId,
    /// When it was made.
    pub created_at: Timestamp,
}

impl SignatureDocument {
    /// The raw signature; `None` if the service sent something else than base64.
    #[must_use]
    pub fn signature(&self) -> Option<Signature> {
        Signature::from_file(self.signature.as_bytes()).ok()
    }
}

fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn to_text<S: serde::Serializer, T: std::fmt::Display>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
