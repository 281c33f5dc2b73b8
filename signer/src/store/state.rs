//! What the service knows, in memory.
//!
//! The copy is complete and changes only after the commit that made the change durable, so a
//! decision that is read here was committed. Reading the database per request instead would put a
//! disk on the path of every cached answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use minion::verify::{Algorithm, KeyHash, PublicKey, Signature};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backend::{Guard, Key};
use crate::audit::chain::Head;
use crate::authorize::{MasterId, SignedStatement};
use crate::clock::Timestamp;

/// Everything that the store holds, apart from the audit log and the earlier decisions.
#[derive(Debug, Default)]
pub struct State {
    /// Every master that showed a key or that an operator decided about.
    pub masters: BTreeMap<MasterId, Arc<Master>>,
    /// Whose key a hash is; a hash belongs to one master until an operator says otherwise.
    pub owners: HashMap<KeyHash, MasterId>,
    /// The keys that sign, by their name.
    pub signing_keys: BTreeMap<KeyHash, Arc<SigningKeyRecord>>,
    /// The signing key that new signatures are made with. It is missing in `signing_keys` while
    /// its row is quarantined.
    pub active: Option<KeyHash>,
    /// What was found altered when the store was opened, and is kept out of service.
    pub quarantined: Vec<Quarantined>,
    pub(super) signatures: HashMap<(KeyHash, Algorithm, KeyHash), Arc<StoredSignature>>,
    pub(super) latches: HashMap<[u8; 32], Latch>,
    /// Which keys' signatures were read by whom, besides the masters that they were made for.
    pub(super) served: HashMap<String, HashSet<KeyHash>>,
    /// The commands on this machine that are in the audit log.
    pub(super) commands: HashSet<Uuid>,
    /// Where the audit log ends.
    pub(super) head: Option<Head>,
    /// The revision of each row, for the guards of the next change to it.
    pub(super) revisions: HashMap<Key, u64>,
}

impl State {
    /// The master with that id.
    #[must_use]
    pub fn master(&self, id: &MasterId) -> Option<&Arc<Master>> {
        self.masters.get(id)
    }

    /// The master that a key belongs to, and what is known about the key.
    #[must_use]
    pub fn key(&self, hash: &KeyHash) -> Option<(&Arc<Master>, &KeyRecord)> {
        let master = self.masters.get(self.owners.get(hash)?)?;
        master.keys.get(hash).map(|record| (master, record))
    }

    /// The stored signature of `signing_key` over the key named `key`.
    #[must_use]
    pub fn signature(
        &self,
        signing_key: KeyHash,
        algorithm: Algorithm,
        key: KeyHash,
    ) -> Option<&Arc<StoredSignature>> {
        self.signatures.get(&(signing_key, algorithm, key))
    }

    /// Every stored signature, in no order.
    pub fn signatures(&self) -> impl Iterator<Item = &Arc<StoredSignature>> {
        self.signatures.values()
    }

    /// The active signing key, if its row is sound.
    #[must_use]
    pub fn active_signing_key(&self) -> Option<&Arc<SigningKeyRecord>> {
        self.signing_keys.get(self.active.as_ref()?)
    }

    /// Whether somebody other than the master that it was made for has had a signature over the key
    /// before.
    #[must_use]
    pub fn was_served(&self, identity: &str, key: KeyHash) -> bool {
        let keys = self.served.get(identity);
        keys.is_some_and(|keys| keys.contains(&key))
    }

    /// Where the audit log ends.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }

    /// Whether this PIN was refused by that token before.
    #[must_use]
    pub fn is_latched(&self, serial: &str, tag: &[u8; 32]) -> bool {
        self.latches
            .get(tag)
            .is_some_and(|latch| latch.serial == serial)
    }

    /// The PINs that are not tried again.
    pub fn latches(&self) -> impl Iterator<Item = &Latch> {
        self.latches.values()
    }

    /// What has to hold about a row for a change that was decided on this state.
    pub(super) fn guard(&self, key: Key) -> Guard {
        match self.revisions.get(&key) {
            Some(&revision) => Guard::RevisionEquals(key, revision),
            None => Guard::Absent(key),
        }
    }
}

/// One master: its id, its keys and the operators' decisions about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// The name in its certificate.
    pub id: MasterId,
    /// How many decisions were taken about it; the next statement carries one more.
    pub generation: u64,
    /// Whether the whole id is revoked.
    pub barred: bool,
    /// The statement that revoked the whole id, while it is revoked.
    pub revocation: Option<Arc<SignedStatement>>,
    /// The statement that lifted the last revocation of the whole id.
    pub reinstatement: Option<Arc<SignedStatement>>,
    /// Its keys.
    pub keys: BTreeMap<KeyHash, KeyRecord>,
}

impl Master {
    /// A master that nothing is known about yet.
    #[must_use]
    pub const fn new(id: MasterId) -> Self {
        Self {
            id,
            generation: 0,
            barred: false,
            revocation: None,
            reinstatement: None,
            keys: BTreeMap::new(),
        }
    }

    /// Whether any of its keys has that status.
    #[must_use]
    pub fn has(&self, status: Status) -> bool {
        self.keys.values().any(|record| record.status == status)
    }
}

/// One key of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key; none if only its hash is known, because it was revoked before it was shown or is
    /// expected from a reinstated master, or if its row is quarantined and unreadable.
    pub key: Option<Arc<PublicKey>>,
    /// What may be done with it.
    pub status: Status,
    /// Since when it has this status.
    pub since: Timestamp,
    /// The statement behind the status; none for a key that waits or was denied because it was
    /// shown.
    pub decision: Option<Arc<SignedStatement>>,
}

/// What an operator, or the lack of one, made of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// May be signed.
    Accepted,
    /// A further key of a master that has one; an operator has to name it.
    Denied,
    /// Waits for an operator.
    Pending,
    /// Its row was altered in the database; it counts as not accepted until an operator decides
    /// anew.
    Quarantined,
    /// Turned down; an operator may still accept it.
    Rejected,
    /// Barred for ever.
    Revoked,
}

impl Status {
    /// The word in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// Its public half.
    pub key: Arc<PublicKey>,
    /// Where it is in its life.
    pub state: SigningKeyState,
    /// Since when.
    pub since: Timestamp,
}

/// Where a signing key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SigningKeyState {
    /// New signatures are made with it.
    Active,
}

impl SigningKeyState {
    /// The word in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
        }
    }
}

/// A signature that may be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSignature {
    /// The key that made it.
    pub signing_key: KeyHash,
    /// How.
    pub algorithm: Algorithm,
    /// The key that it is over.
    pub key: KeyHash,
    /// The master that showed that key.
    pub master: MasterId,
    /// Its bytes.
    pub signature: Signature,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The place of its record in the audit log.
    pub audit_seq: u64,
}

/// A PIN that is not tried again at a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The token's serial number.
    pub serial: String,
    /// What the token said.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A row that does not hold what the audit log, an operator or a signing key vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// What it is, for people: `the acceptance of key 4b1c… for m1`.
    pub what: String,
    /// The name of the row in the store.
    pub row: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, row, why } = self;
        write!(f, "{what} (row {row}): {why}")
    }
}
