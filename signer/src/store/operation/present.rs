//! A master shows its key.
//!
//! Whether it holds the private key was proven before. At most one key of a master waits for an
//! operator, and a key that comes later never takes its place: otherwise whoever has a stolen
//! client certificate would exchange the key between the moment when the operator compares
//! fingerprints and the moment when they accept.

use std::sync::Arc;

use minion::verify::PublicKey;

use crate::audit::{Action, Actor};
use crate::authorize::{MasterId, SignedStatement};
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::{KeyRow, MasterRow};
use crate::store::state::{KeyRecord, Master, Status};

/// What became of a key that a master showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It is accepted and may be signed.
    Accepted,
    /// The master has another key, and an operator would have to name this one.
    Denied {
        /// Whether it is listed for the operator; a master's list has an end.
        recorded: bool,
    },
    /// It is the key of another master.
    HeldBy(MasterId),
    /// It waits for an operator.
    Pending {
        /// Whether this call made it wait.
        new: bool,
    },
    /// What the store says about it was altered in the database.
    Quarantined,
    /// An operator turned it down.
    Rejected,
    /// It is barred for ever, or the whole master is.
    Revoked,
}

/// A master shows its key.
#[derive(Clone, Debug)]
pub(in crate::store) struct Present {
    pub(in crate::store) master: MasterId,
    pub(in crate::store) key: Arc<PublicKey>,
    pub(in crate::store) actor: Actor,
}

impl Operation for Present {
    type Output = Presented;
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<Presented>, Error> {
        let hash = self.key.hash();
        let known = view.state.master(&self.master);
        if known.is_some_and(|master| master.barred) {
            return Ok(Step::Done(Presented::Revoked));
        }
        if let Some((master, record)) = view.state.key(&hash) {
            if master.id != self.master {
                return Ok(Step::Done(Presented::HeldBy(master.id.clone())));
            }
            if record.key.is_some() || record.status != Status::Pending {
                return Ok(Step::Done(of_status(record.status)));
            }
            // The key that a reinstated master was expected to show.
            let decision = record.decision.clone();
            let action = Action::KeyPresented;
            let change = self.record(view, known, (Status::Pending, decision), action)?;
            let presented = Presented::Pending { new: true };
            return Ok(Step::Write(Box::new(change), presented));
        }
        let (status, action, presented) = match known {
            Some(master) if is_taken(master) => {
                if denied(master) >= MAX_DENIED {
                    return Ok(Step::Done(Presented::Denied { recorded: false }));
                }
                let presented = Presented::Denied { recorded: true };
                (Status::Denied, Action::KeyDenied, presented)
            }
            _ => {
                let presented = Presented::Pending { new: true };
                (Status::Pending, Action::KeyPresented, presented)
            }
        };
        let change = self.record(view, known, (status, None), action)?;
        Ok(Step::Write(Box::new(change), presented))
    }
}

impl Present {
    fn record(
        &self,
        view: &View<'_>,
        known: Option<&Arc<Master>>,
        (status, decision): (Status, Option<Arc<SignedStatement>>),
        action: Action,
    ) -> Result<Change, Error> {
        let hash = self.key.hash();
        let mut master = match known {
            Some(master) => Master::clone(master),
            None => Master::new(self.master.clone()),
        };
        let record = KeyRecord {
            key: Some(Arc::clone(&self.key)),
            status,
            since: view.now,
            decision,
        };
        let subject = format!("key {hash} of {}", self.master);
        let mut change = Change::new(view.now, self.actor.clone(), action, subject);
        change.detail("generation", &master.generation);
        change.detail("key", &hash);
        change.detail("master", &self.master);
        let row = KeyRow::new(&self.master, &record);
        change.put(view.state, &Row::Key(hash), &row)?;
        // Written even where nothing in it changes: its revision is what tells two concurrent keys
        // apart.
        let row = MasterRow::from(&master);
        change.put(view.state, &Row::Master(self.master.clone()), &row)?;
        master.keys.insert(hash, record);
        change.effect(Effect::Master(Arc::new(master)));
        Ok(change)
    }
}

const fn of_status(status: Status) -> Presented {
    match status {
        Status::Accepted => Presented::Accepted,
        Status::Denied => Presented::Denied { recorded: true },
        Status::Pending => Presented::Pending { new: false },
        Status::Quarantined => Presented::Quarantined,
        Status::Rejected => Presented::Rejected,
        Status::Revoked => Presented::Revoked,
    }
}

/// Whether the master has a key that a further one may not step beside without an operator.
pub(super) fn is_taken(master: &Master) -> bool {
    [Status::Accepted, Status::Pending, Status::Quarantined]
        .into_iter()
        .any(|status| master.has(status))
}

fn denied(master: &Master) -> usize {
    let keys = master.keys.values();
    keys.filter(|record| record.status == Status::Denied)
        .count()
}

/// Enough to show the operator that something is wrong; a master with a stolen certificate cannot
/// fill the disk.
const MAX_DENIED: usize = 8;
