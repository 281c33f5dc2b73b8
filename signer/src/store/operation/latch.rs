//! A token refused a PIN, and an operator allows another try.
//!
//! Only a keyed hash of the PIN comes here; the key stays on the machine and is not in the store.

use crate::audit::{Action, Actor};
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::LatchRow;
use crate::store::state::Latch as Record;

/// A token refused a PIN.
#[derive(Clone, Debug)]
pub(in crate::store) struct Latch {
    pub(in crate::store) serial: String,
    pub(in crate::store) tag: [u8; 32],
    pub(in crate::store) reason: String,
}

impl Operation for Latch {
    type Output = ();
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<()>, Error> {
        if view.state.is_latched(&self.serial, &self.tag) {
            return Ok(Step::Done(()));
        }
        let latch = Record {
            serial: self.serial.clone(),
            reason: self.reason.clone(),
            since: view.now,
        };
        let subject = format!("token {}", self.serial);
        let action = Action::PinLatched;
        let mut change = Change::new(view.now, Actor::service(), action, subject);
        change.detail("reason", &self.reason);
        change.detail("serial", &self.serial);
        change.put(view.state, &Row::Latch(self.tag), &LatchRow::from(&latch))?;
        change.effect(Effect::Latched(self.tag, latch));
        Ok(Step::Write(Box::new(change), ()))
    }
}

/// An operator allows a token's PIN to be tried again.
#[derive(Clone, Debug)]
pub(in crate::store) struct Unlatch {
    pub(in crate::store) serial: String,
    pub(in crate::store) actor: Actor,
}

impl Operation for Unlatch {
    /// How many PINs were latched.
    type Output = usize;
    type Error = Error;

    fn decide(&self, view: &View<'_>) -> Result<Step<usize>, Error> {
        let latches = view.state.latches.iter();
        let tags: Vec<[u8; 32]> = latches
            .filter(|(_, latch)| latch.serial == self.serial)
            .map(|(tag, _)| *tag)
            .collect();
        if tags.is_empty() {
            return Ok(Step::Done(0));
        }
        let subject = format!("token {}", self.serial);
        let action = Action::PinUnlatched;
        let mut change = Change::new(view.now, self.actor.clone(), action, subject);
        change.detail("serial", &self.serial);
        for tag in &tags {
            change.delete(view.state, &Row::Latch(*tag));
            change.effect(Effect::Unlatched(*tag));
        }
        Ok(Step::Write(Box::new(change), tags.len()))
    }
}
