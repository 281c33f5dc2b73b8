//! An operator decides about a key, or about a whole master.
//!
//! The statement was checked when it comes here. What remains is whether it is the next one: its
//! generation must be one more than the master's, so that two operators never decide on the same
//! screenful, and an old statement never counts again.

mod key;

use std::sync::Arc;

use minion::verify::KeyHash;
use uuid::Uuid;

use crate::audit::{Action, Actor};
use crate::authorize::Verb;
use crate::authorize::{CheckedStatement, Identity, MasterId, OperatorRole, SignedStatement};
use crate::clock::Timestamp;
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::{KeyRow, MasterRow, SignatureRow, StatementRow};
use crate::store::state::{Master, Status, StoredSignature};

/// Why a decision was not taken over.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// The whole master is revoked.
    #[error(
        "the master {master} is revoked as a whole; none of its keys can be accepted or rejected"
    )]
    Barred {
        /// The master.
        master: MasterId,
    },
    /// Another decision came first, or the statement is an old one.
    #[error(
        "the statement does not follow the newest decision, which is number {current}; look at \
         the master again and sign number {current} + 1 if you still want it"
    )]
    Conflict {
        /// The master's generation.
        current: u64,
    },
    /// The key belongs to another master.
    #[error("the key belongs to the master {owner}")]
    HeldBy {
        /// That master.
        owner: MasterId,
    },
    /// An accepted key is not rejected but revoked, so that nobody takes the harmless word for the
    /// lasting one.
    #[error("the key is accepted; `masters revoke` ends that, for ever")]
    IsAccepted,
    /// A denied key is a warning, and is not forgotten before somebody looked at it.
    #[error(
        "the key is denied: its master has another one, and showing a further key may be an attack. \
         Reject it first"
    )]
    IsDenied,
    /// What is stored about the key was altered, so only a plain decision about it counts.
    #[error("what is stored about the key was altered; accept, reject or revoke it first")]
    IsQuarantined,
    /// The key is already rejected.
    #[error("the key is already rejected")]
    IsRejected,
    /// The key was revoked, which is for ever.
    #[error("the key was revoked, and that is for ever; the master needs a new key")]
    IsRevoked,
    /// The key belongs to that master already.
    #[error("the key is this master's already")]
    IsTheirs,
    /// The master is not revoked as a whole.
    #[error("the master {master} is not revoked as a whole, so there is nothing to lift")]
    NotBarred {
        /// The master.
        master: MasterId,
    },
    /// The statement is for another installation.
    #[error("the statement is for the store {named}, and this is {ours}")]
    OtherStore {
        /// The store that it names.
        named: Uuid,
        /// This store.
        ours: Uuid,
    },
    /// The change could not be written.
    #[error("the decision was not stored")]
    Store(#[from] Error),
    /// The master never showed such a key, or the key itself was lost to an alteration of the
    /// database.
    #[error("the master {master} never showed this key; it has to ask for a signature first")]
    UnknownKey {
        /// The master.
        master: MasterId,
    },
}

/// An operator decides.
#[derive(Clone, Debug)]
pub(in crate::store) struct Decide {
    checked: CheckedStatement,
    signed: Arc<SignedStatement>,
}

impl From<CheckedStatement> for Decide {
    fn from(checked: CheckedStatement) -> Self {
        let signed = Arc::new(checked.signed().clone());
        Self { checked, signed }
    }
}

impl Operation for Decide {
    type Output = Arc<Master>;
    type Error = DecideError;

    fn decide(&self, view: &View<'_>) -> Result<Step<Arc<Master>>, DecideError> {
        let statement = self.checked.statement();
        if statement.store != view.store {
            return Err(DecideError::OtherStore {
                named: statement.store,
                ours: view.store,
            });
        }
        let known = view.state.master(&statement.master);
        if let Some(master) = known.filter(|master| self.is_repeated(master)) {
            return Ok(Step::Done(Arc::clone(master)));
        }
        let mut master = match known {
            Some(master) => Master::clone(master),
            None => Master::new(statement.master.clone()),
        };
        let current = master.generation;
        if current.checked_add(1) != Some(statement.generation) {
            return Err(DecideError::Conflict { current });
        }
        master.generation = statement.generation;
        let outcome = match (statement.verb, statement.key) {
            (Verb::Accept | Verb::Reject | Verb::Revoke, Some(hash)) => {
                self.about_key(view, &mut master, hash)?
            }
            (Verb::Forget, Some(hash)) => key::forget(view, &mut master, hash)?,
            (Verb::Reinstate, Some(hash)) => self.reinstate(view, &mut master, hash)?,
            (Verb::Rename, Some(hash)) => self.take_over(view, &mut master, hash)?,
            (_, None) => self.bar(&mut master, view.now)?,
        };
        let master = Arc::new(master);
        let change = self.change(view, outcome, &master)?;
        Ok(Step::Write(Box::new(change), master))
    }
}

impl Decide {
    /// Whether this very statement was the last one: a client that saw no answer asks again.
    fn is_repeated(&self, master: &Master) -> bool {
        let statement = self.checked.statement();
        if master.generation != statement.generation {
            return false;
        }
        let last = match statement.key {
            // Nothing is left of it that could name the statement; that it is gone is the answer.
            Some(hash) if statement.verb == Verb::Forget => {
                return !master.keys.contains_key(&hash);
            }
            Some(hash) => master
                .keys
                .get(&hash)
                .and_then(|record| record.decision.as_ref()),
            None => master.revocation.as_ref(),
        };
        last == Some(&self.signed)
    }

    /// Bars the whole id: its keys are revoked by the same statement.
    fn bar(&self, master: &mut Master, now: Timestamp) -> Result<Outcome, DecideError> {
        if self.checked.statement().verb != Verb::Revoke {
            return Err(DecideError::UnknownKey {
                master: master.id.clone(),
            });
        }
        master.barred = true;
        master.revocation = Some(Arc::clone(&self.signed));
        master.reinstatement = None;
        let mut changed = Vec::new();
        for (hash, record) in &mut master.keys {
            if record.status != Status::Revoked {
                record.status = Status::Revoked;
                record.since = now;
                record.decision = Some(Arc::clone(&self.signed));
                changed.push(*hash);
            }
        }
        Ok(Outcome::of(Action::MasterRevoked, changed))
    }

    fn change(
        &self,
        view: &View<'_>,
        outcome: Outcome,
        master: &Arc<Master>,
    ) -> Result<Change, Error> {
        let Outcome {
            action,
            changed,
            moved,
        } = outcome;
        let statement = self.checked.statement();
        let subject = match statement.key {
            Some(hash) => format!("key {hash} of {}", master.id),
            None => format!("{} and all of its keys", master.id),
        };
        let mut change = Change::new(view.now, self.actor(), action, subject);
        change.detail("generation", &statement.generation);
        change.detail("master", &master.id);
        if let Some(hash) = statement.key {
            change.detail("key", &hash);
        }
        let row = Row::Statement(master.id.clone(), statement.generation);
        change.put(view.state, &row, &StatementRow::from(&*self.signed))?;
        let row = Row::Master(master.id.clone());
        change.put(view.state, &row, &MasterRow::from(&**master))?;
        for hash in changed {
            match master.keys.get(&hash) {
                Some(record) => {
                    let row = KeyRow::new(&master.id, record);
                    change.put(view.state, &Row::Key(hash), &row)?;
                }
                None => {
                    change.delete(view.state, &Row::Key(hash));
                    for stored in signatures_over(view, hash) {
                        let (by, algorithm) = (stored.signing_key, stored.algorithm);
                        change.delete(view.state, &Row::Signature(by, algorithm, hash));
                    }
                    change.effect(Effect::Forgotten(hash));
                }
            }
        }
        if let Some(moved) = moved {
            moved.write(view, &mut change, &master.id)?;
        }
        change.effect(Effect::Master(Arc::clone(master)));
        Ok(change)
    }

    fn actor(&self) -> Actor {
        let admin = Identity::Operator {
            role: OperatorRole::Admin,
            name: self.checked.admin().to_owned(),
        };
        Actor {
            identity: admin.to_string(),
            certificate: Some(self.checked.certificate()),
        }
    }
}

fn signatures_over<'a>(
    view: &View<'a>,
    hash: KeyHash,
) -> impl Iterator<Item = &'a Arc<StoredSignature>> {
    let signatures = view.state.signatures();
    signatures.filter(move |stored| stored.key == hash)
}

/// What a decision does to the rows.
#[derive(Debug)]
struct Outcome {
    action: Action,
    /// The keys whose rows are written, or removed if the master has them no more.
    changed: Vec<KeyHash>,
    moved: Option<Moved>,
}

impl Outcome {
    const fn of(action: Action, changed: Vec<KeyHash>) -> Self {
        Self {
            action,
            changed,
            moved: None,
        }
    }
}

/// What goes with a key that moves to another master.
#[derive(Debug)]
struct Moved {
    /// The master that had it, without it.
    from: Master,
    signatures: Vec<Arc<StoredSignature>>,
}

impl Moved {
    fn write(self, view: &View<'_>, change: &mut Change, to: &MasterId) -> Result<(), Error> {
        let Self { from, signatures } = self;
        change.detail("from", &from.id);
        // Nothing in its row changes, but a decision about it in the meantime must be seen.
        change.guard(view.state, &Row::Master(from.id.clone()));
        change.effect(Effect::Master(Arc::new(from)));
        for stored in signatures {
            let stored = StoredSignature {
                master: to.clone(),
                ..StoredSignature::clone(&stored)
            };
            let row = Row::Signature(stored.signing_key, stored.algorithm, stored.key);
            change.put(view.state, &row, &SignatureRow::from(&stored))?;
            change.effect(Effect::Signature(Arc::new(stored)));
        }
        Ok(())
    }
}
