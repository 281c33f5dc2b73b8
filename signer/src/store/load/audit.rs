//! What the audit log says that the rows must be.

use std::collections::{BTreeMap, HashMap, HashSet};

use minion::verify::KeyHash;
use uuid::Uuid;

use super::{OpenError, PAGE};
use crate::audit::chain::{Broken, Cause, Head, Verifier};
use crate::audit::{Action, Digest, Record};
use crate::authorize::MasterId;
use crate::clock::Timestamp;
use crate::store::backend::{Backend, Key};
use crate::store::layout::{AUDIT_RECORDS, Row};

/// The newest word of the audit log about each row.
#[derive(Debug, Default)]
pub(super) struct Trail {
    store: Option<Uuid>,
    active: Option<KeyHash>,
    rows: BTreeMap<Key, Word>,
    served: HashMap<String, HashSet<KeyHash>>,
    commands: HashSet<Uuid>,
}

/// What the audit log says about one row.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// The digest of what was written last; none if the row was removed.
    pub(super) digest: Option<Digest>,
    pub(super) seq: u64,
    pub(super) action: Action,
    pub(super) time: Timestamp,
    pub(super) detail: BTreeMap<String, String>,
    /// Whether what the row is about was revoked and not reinstated since.
    pub(super) is_revoked: bool,
    /// Of a master's row: the number of the last decision that revoked the whole id.
    pub(super) revoked_by: Option<u64>,
}

impl Word {
    pub(super) fn master(&self) -> Option<MasterId> {
        self.detail.get("master")?.parse().ok()
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.detail.get("generation")?.parse().ok()
    }
}

impl Trail {
    /// Reads and verifies the whole chain.
    pub(super) async fn read(backend: &dyn Backend) -> Result<(Self, Head), OpenError> {
        let mut trail = Self::default();
        let mut verifier = Verifier::default();
        let mut after = None;
        loop {
            let page = backend.list(AUDIT_RECORDS, after.as_ref(), PAGE).await;
            let page = page.map_err(OpenError::Read)?;
            after = page.rows.last().map(|(key, _)| key.clone());
            for (key, entry) in page.rows {
                let seq = verifier.head().map_or(1, |head| head.seq.saturating_add(1));
                let broken = |cause| OpenError::Audit(Broken { seq, cause });
                if Row::AuditRecord(seq).name() != key {
                    return Err(broken(Cause::Missing));
                }
                let record = verifier.push(&entry.value).map_err(OpenError::Audit)?;
                trail.follow(&record);
            }
            if !page.more {
                break;
            }
        }
        match verifier.head() {
            Some(head) => Ok((trail, head)),
            None => Err(OpenError::Audit(Broken {
                seq: 1,
                cause: Cause::Missing,
            })),
        }
    }

    /// The store that the first record names.
    pub(super) const fn store(&self) -> Option<Uuid> {
        self.store
    }

    /// The signing key that was made the active one.
    pub(super) const fn active(&self) -> Option<KeyHash> {
        self.active
    }

    /// Who had which key's signature.
    pub(super) const fn served(&self) -> &HashMap<String, HashSet<KeyHash>> {
        &self.served
    }

    /// The commands on this machine that have a record.
    pub(super) const fn commands(&self) -> &HashSet<Uuid> {
        &self.commands
    }

    pub(super) fn word(&self, row: &Key) -> Option<&Word> {
        self.rows.get(row)
    }

    /// The rows that the log has a word about.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Key> {
        self.rows.keys()
    }

    fn follow(&mut self, record: &Record) {
        let detail = |name: &str| record.detail.get(name);
        match record.action {
            Action::StoreCreated => {
                self.store = detail("store").and_then(|uuid| uuid.parse().ok());
            }
            Action::SigningKeyAdded => {
                self.active = detail("signing_key").and_then(|hash| hash.parse().ok());
            }
            Action::LocalCommand => {
                let id: Option<Uuid> = detail("id").and_then(|id| id.parse().ok());
                self.commands.extend(id);
            }
            Action::SignatureServed => {
                if let Some(key) = detail("key").and_then(|hash| hash.parse().ok()) {
                    let identity = record.actor.identity.clone();
                    self.served.entry(identity).or_default().insert(key);
                }
            }
            Action::KeyAccepted
            | Action::KeyDenied
            | Action::KeyForgotten
            | Action::KeyPresented
            | Action::KeyRejected
            | Action::KeyRenamed
            | Action::KeyRevoked
            | Action::MasterReinstated
            | Action::MasterRevoked
            | Action::PinLatched
            | Action::PinUnlatched
            | Action::ProofRefused
            | Action::SignaturePublished => {}
        }
        for (name, digest) in &record.writes {
            let Ok(key) = Key::new(name.clone()) else {
                continue;
            };
            let earlier = self.word(&key);
            let is_revoked = revokes(record.action, &key)
                || !reinstates(record.action, &key)
                    && earlier.is_some_and(|earlier| earlier.is_revoked);
            let now = match record.action {
                Action::MasterRevoked => {
                    detail("generation").and_then(|number| number.parse().ok())
                }
                _ => None,
            };
            // The highest, so that no later record makes an earlier revocation look older.
            let revoked_by = earlier.and_then(|earlier| earlier.revoked_by).max(now);
            let word = Word {
                digest: *digest,
                seq: record.seq,
                action: record.action,
                time: record.time,
                detail: record.detail.clone(),
                is_revoked,
                revoked_by,
            };
            self.rows.insert(key, word);
        }
    }
}

/// Whether a record of that action that writes that row bars what the row is about.
fn revokes(action: Action, key: &Key) -> bool {
    match Row::parse(key) {
        Some(Row::Key(_)) => matches!(action, Action::KeyRevoked | Action::MasterRevoked),
        Some(Row::Master(_)) => action == Action::MasterRevoked,
        _ => false,
    }
}

/// Whether a record of that action that writes that row lifts the bar of a master.
fn reinstates(action: Action, key: &Key) -> bool {
    matches!(Row::parse(key), Some(Row::Master(_))) && action == Action::MasterReinstated
}
