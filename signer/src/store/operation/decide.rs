//! An operator decides about a key, or about a whole master.
//!
//! The statement was checked when it comes here. What remains is whether it is the next one: its
//! generation must be one more than the master's, so that two operators never decide on the same
//! screenful, and an old statement never counts again.

use std::sync::Arc;

use minion::verify::KeyHash;
use uuid::Uuid;

use crate::audit::{Action, Actor};
use crate::authorize::{CheckedStatement, Identity, MasterId, OperatorRole, SignedStatement};
use crate::authorize::{Statement, Verb};
use crate::clock::Timestamp;
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::{KeyRow, MasterRow, StatementRow};
use crate::store::state::{KeyRecord, Master, State, Status};

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
    /// The key is already rejected.
    #[error("the key is already rejected")]
    IsRejected,
    /// The key was revoked, which is for ever.
    #[error("the key was revoked, and that is for ever; the master needs a new key")]
    IsRevoked,
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
        let (action, changed) = match statement.key {
            Some(hash) => {
                let action = self.about_key(view, &mut master, hash)?;
                (action, vec![hash])
            }
            None => (Action::MasterRevoked, self.bar(&mut master, view.now)?),
        };
        let master = Arc::new(master);
        let change = self.change(view, action, &master, &changed)?;
        Ok(Step::Write(Box::new(change), master))
    }
}

impl Decide {
    /// Whether this very statement was the last one: a client that saw no answer asks again.
    fn is_repeated(&self, master: &Master) -> bool {
        let statement = self.checked.statement();
        let last = match statement.key {
            Some(hash) => master
                .keys
                .get(&hash)
                .and_then(|record| record.decision.as_ref()),
            None => master.revocation.as_ref(),
        };
        master.generation == statement.generation && last == Some(&self.signed)
    }

    fn about_key(
        &self,
        view: &View<'_>,
        master: &mut Master,
        hash: KeyHash,
    ) -> Result<Action, DecideError> {
        let statement = self.checked.statement();
        if let Some(owner) = owner(view.state, &hash).filter(|owner| **owner != master.id) {
            return Err(DecideError::HeldBy {
                owner: owner.clone(),
            });
        }
        let (status, action) = verdict(statement, master, &hash)?;
        let key = master.keys.remove(&hash).and_then(|record| record.key);
        let record = KeyRecord {
            key,
            status,
            since: view.now,
            decision: Some(Arc::clone(&self.signed)),
        };
        master.keys.insert(hash, record);
        Ok(action)
    }

    /// Bars the whole id: its keys are revoked by the same statement.
    fn bar(&self, master: &mut Master, now: Timestamp) -> Result<Vec<KeyHash>, DecideError> {
        if self.checked.statement().verb != Verb::Revoke {
            return Err(DecideError::UnknownKey {
                master: master.id.clone(),
            });
        }
        master.barred = true;
        master.revocation = Some(Arc::clone(&self.signed));
        let mut changed = Vec::new();
        for (hash, record) in &mut master.keys {
            if record.status != Status::Revoked {
                record.status = Status::Revoked;
                record.since = now;
                record.decision = Some(Arc::clone(&self.signed));
                changed.push(*hash);
            }
        }
        Ok(changed)
    }

    fn change(
        &self,
        view: &View<'_>,
        action: Action,
        master: &Arc<Master>,
        changed: &[KeyHash],
    ) -> Result<Change, Error> {
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
            if let Some(record) = master.keys.get(hash) {
                let row = KeyRow::new(&master.id, record);
                change.put(view.state, &Row::Key(*hash), &row)?;
            }
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

fn owner<'a>(state: &'a State, hash: &KeyHash) -> Option<&'a MasterId> {
    state.owners.get(hash)
}

/// What the statement makes of a key of this master, or why it may not.
fn verdict(
    statement: &Statement,
    master: &Master,
    hash: &KeyHash,
) -> Result<(Status, Action), DecideError> {
    if statement.verb == Verb::Revoke {
        return Ok((Status::Revoked, Action::KeyRevoked));
    }
    let master_id = || master.id.clone();
    if master.barred {
        return Err(DecideError::Barred {
            master: master_id(),
        });
    }
    let unknown = || DecideError::UnknownKey {
        master: master_id(),
    };
    let record = master.keys.get(hash).ok_or_else(unknown)?;
    if record.status == Status::Revoked {
        return Err(DecideError::IsRevoked);
    }
    if statement.verb == Verb::Accept {
        return match record.key {
            Some(_) => Ok((Status::Accepted, Action::KeyAccepted)),
            None => Err(unknown()),
        };
    }
    match record.status {
        Status::Accepted => Err(DecideError::IsAccepted),
        Status::Rejected => Err(DecideError::IsRejected),
        Status::Revoked => Err(DecideError::IsRevoked),
        Status::Denied | Status::Pending | Status::Quarantined => {
            Ok((Status::Rejected, Action::KeyRejected))
        }
    }
}
