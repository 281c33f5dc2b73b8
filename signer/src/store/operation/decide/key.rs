//! Decisions about one key: what each verb makes of it, and when it may not.

use std::sync::Arc;

use minion::verify::KeyHash;

use super::{Decide, DecideError, Moved, Outcome, signatures_over};
use crate::audit::Action;
use crate::authorize::{Statement, Verb};
use crate::store::change::View;
use crate::store::operation::present;
use crate::store::state::{KeyRecord, Master, State, Status};

impl Decide {
    /// Accepts, rejects or revokes a key.
    pub(super) fn about_key(
        &self,
        view: &View<'_>,
        master: &mut Master,
        hash: KeyHash,
    ) -> Result<Outcome, DecideError> {
        is_no_others(view.state, master, &hash)?;
        let (status, action) = verdict(self.checked.statement(), master, &hash)?;
        let key = master.keys.remove(&hash).and_then(|record| record.key);
        let record = KeyRecord {
            key,
            status,
            since: view.now,
            decision: Some(Arc::clone(&self.signed)),
        };
        master.keys.insert(hash, record);
        Ok(Outcome::of(action, vec![hash]))
    }

    /// Lifts the bar of an id. Its keys stay revoked, so it must have got a new one; the place of
    /// the key that waits is kept for that one, and whoever still has the old certificate can only
    /// show a further key, which is denied.
    pub(super) fn reinstate(
        &self,
        view: &View<'_>,
        master: &mut Master,
        hash: KeyHash,
    ) -> Result<Outcome, DecideError> {
        if !master.barred {
            return Err(DecideError::NotBarred {
                master: master.id.clone(),
            });
        }
        is_no_others(view.state, master, &hash)?;
        if master.keys.contains_key(&hash) {
            return Err(DecideError::IsRevoked);
        }
        master.barred = false;
        master.revocation = None;
        master.reinstatement = Some(Arc::clone(&self.signed));
        let record = KeyRecord {
            key: None,
            status: Status::Pending,
            since: view.now,
            decision: Some(Arc::clone(&self.signed)),
        };
        master.keys.insert(hash, record);
        Ok(Outcome::of(Action::MasterReinstated, vec![hash]))
    }

    /// Takes a key over from the id that showed it. It was accepted for that id and not for this
    /// one, so it waits; its signatures go with it and are served again once it is accepted.
    pub(super) fn take_over(
        &self,
        view: &View<'_>,
        master: &mut Master,
        hash: KeyHash,
    ) -> Result<Outcome, DecideError> {
        if master.barred {
            return Err(DecideError::Barred {
                master: master.id.clone(),
            });
        }
        let Some((from, record)) = view.state.key(&hash) else {
            return Err(DecideError::UnknownKey {
                master: master.id.clone(),
            });
        };
        if from.id == master.id {
            return Err(DecideError::IsTheirs);
        }
        match record.status {
            Status::Revoked => return Err(DecideError::IsRevoked),
            Status::Accepted | Status::Denied | Status::Pending | Status::Rejected => {}
            Status::Quarantined => return Err(DecideError::IsQuarantined),
        }
        let mut from = Master::clone(from);
        let key = from.keys.remove(&hash).and_then(|record| record.key);
        if key.is_none() {
            return Err(DecideError::UnknownKey {
                master: from.id.clone(),
            });
        }
        let status = if present::is_taken(master) {
            Status::Denied
        } else {
            Status::Pending
        };
        let record = KeyRecord {
            key,
            status,
            since: view.now,
            decision: Some(Arc::clone(&self.signed)),
        };
        master.keys.insert(hash, record);
        let moved = Moved {
            from,
            signatures: signatures_over(view, hash).map(Arc::clone).collect(),
        };
        Ok(Outcome {
            moved: Some(moved),
            ..Outcome::of(Action::KeyRenamed, vec![hash])
        })
    }
}

/// Forgets a key that waits or was rejected. Its decisions stay on record, and the master's number
/// of decisions goes on, so none of them counts again.
pub(super) fn forget(
    view: &View<'_>,
    master: &mut Master,
    hash: KeyHash,
) -> Result<Outcome, DecideError> {
    is_no_others(view.state, master, &hash)?;
    let Some(record) = master.keys.get(&hash) else {
        return Err(DecideError::UnknownKey {
            master: master.id.clone(),
        });
    };
    match record.status {
        Status::Pending | Status::Rejected => {}
        Status::Accepted => return Err(DecideError::IsAccepted),
        Status::Revoked => return Err(DecideError::IsRevoked),
        Status::Denied => return Err(DecideError::IsDenied),
        Status::Quarantined => return Err(DecideError::IsQuarantined),
    }
    master.keys.remove(&hash);
    Ok(Outcome::of(Action::KeyForgotten, vec![hash]))
}

fn is_no_others(state: &State, master: &Master, hash: &KeyHash) -> Result<(), DecideError> {
    match state.owners.get(hash).filter(|owner| **owner != master.id) {
        Some(owner) => Err(DecideError::HeldBy {
            owner: owner.clone(),
        }),
        None => Ok(()),
    }
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
    if record.key.is_none() {
        return Err(unknown());
    }
    if statement.verb == Verb::Accept {
        return Ok((Status::Accepted, Action::KeyAccepted));
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
