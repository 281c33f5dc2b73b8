//! What happened without changing a row: the record is all there is to write.

use std::collections::BTreeMap;
use std::sync::Arc;

use minion::verify::KeyHash;
use uuid::Uuid;

use crate::audit::{Action, Actor};
use crate::authorize::MasterId;
use crate::clock::Timestamp;
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::state::StoredSignature;

/// Somebody gets a signature for the first time.
#[derive(Clone, Debug)]
pub(in crate::store) struct Serve {
    pub(in crate::store) actor: Actor,
    pub(in crate::store) signature: Arc<StoredSignature>,
}

impl Operation for Serve {
    type Output = ();
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<()>, Error> {
        let StoredSignature { key, master, .. } = &*self.signature;
        if view.state.was_served(&self.actor.identity, *key) {
            return Ok(Step::Done(()));
        }
        let subject = format!("key {key} of {master}");
        let action = Action::SignatureServed;
        let mut change = Change::new(view.now, self.actor.clone(), action, subject);
        change.detail("algorithm", &self.signature.algorithm);
        change.detail("key", key);
        change.detail("master", master);
        change.detail("signing_key", &self.signature.signing_key);
        let identity = self.actor.identity.clone();
        change.effect(Effect::Served(identity, *key));
        Ok(Step::Write(Box::new(change), ()))
    }
}

/// A proof of possession did not hold.
#[derive(Clone, Debug)]
pub(in crate::store) struct RefuseProof {
    pub(in crate::store) actor: Actor,
    pub(in crate::store) master: MasterId,
    pub(in crate::store) key: KeyHash,
    pub(in crate::store) reason: &'static str,
    /// How many of the same caller were not recorded since the last record.
    pub(in crate::store) unrecorded: u64,
}

impl Operation for RefuseProof {
    type Output = ();
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<()>, Error> {
        let subject = format!("key {} of {}", self.key, self.master);
        let action = Action::ProofRefused;
        let mut change = Change::new(view.now, self.actor.clone(), action, subject);
        change.detail("key", &self.key);
        change.detail("master", &self.master);
        change.detail("reason", &self.reason);
        if self.unrecorded > 0 {
            change.detail("unrecorded", &self.unrecorded);
        }
        Ok(Step::Write(Box::new(change), ()))
    }
}

/// A command that somebody ran on this machine.
#[derive(Clone, Debug)]
pub(in crate::store) struct RanCommand {
    pub(in crate::store) id: Uuid,
    pub(in crate::store) time: Timestamp,
    pub(in crate::store) actor: Actor,
    pub(in crate::store) command: String,
    pub(in crate::store) detail: BTreeMap<String, String>,
}

impl Operation for RanCommand {
    type Output = ();
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<()>, Error> {
        if view.state.commands.contains(&self.id) {
            return Ok(Step::Done(()));
        }
        let action = Action::LocalCommand;
        let subject = self.command.clone();
        let mut change = Change::new(view.now, self.actor.clone(), action, subject);
        for (name, value) in &self.detail {
            change.detail(name, value);
        }
        change.detail("at", &self.time);
        change.detail("id", &self.id);
        change.effect(Effect::Command(self.id));
        Ok(Step::Write(Box::new(change), ()))
    }
}
