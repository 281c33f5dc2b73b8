//! The HSM shows the public half of the key that signs.
//!
//! The first one becomes the active signing key of the store. Another one later is refused rather
//! than taken over: the fleet trusts the first, and a configuration that points at the wrong token
//! must not change that.

use std::sync::Arc;

use minion::verify::{KeyHash, PublicKey};

use crate::audit::{Action, Actor};
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::{ActiveRow, SigningKeyRow};
use crate::store::state::{SigningKeyRecord, SigningKeyState, State};

/// Why a signing key was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The store has another one.
    #[error(
        "the HSM holds the signing key {found}, and this store's is {active}: the configuration \
         names another key or token than before, or `state_dir` belongs to another installation"
    )]
    Other {
        /// The key in the HSM.
        found: KeyHash,
        /// The active key of the store.
        active: KeyHash,
    },
    /// The key could not be written.
    #[error("the signing key was not stored")]
    Store(#[from] Error),
}

/// The HSM shows a signing key.
#[derive(Clone, Debug)]
pub(in crate::store) struct AddSigningKey {
    pub(in crate::store) key: Arc<PublicKey>,
}

impl Operation for AddSigningKey {
    type Output = ();
    type Error = SigningKeyError;

    fn decide(&self, view: &View<'_>) -> Result<Step<()>, SigningKeyError> {
        let found = self.key.hash();
        match view.state.active {
            Some(active) if active != found => {
                return Err(SigningKeyError::Other { found, active });
            }
            Some(_) if is_sound(view.state) => return Ok(Step::Done(())),
            // The rows were altered. The HSM vouches for the key, so writing them again is the
            // repair.
            Some(_) | None => {}
        }
        let record = Arc::new(SigningKeyRecord {
            key: Arc::clone(&self.key),
            state: SigningKeyState::Active,
            since: view.now,
        });
        let subject = format!("signing key {found}");
        let action = Action::SigningKeyAdded;
        let mut change = Change::new(view.now, Actor::service(), action, subject);
        change.detail("signing_key", &found);
        let row = Row::SigningKey(found);
        change.put(view.state, &row, &SigningKeyRow::from(&*record))?;
        change.put(view.state, &Row::ActiveSigningKey, &ActiveRow::new(found))?;
        change.effect(Effect::SigningKey(record));
        Ok(Step::Write(Box::new(change), ()))
    }
}

/// Whether the active key and the choice of it are in the database as they were written.
fn is_sound(state: &State) -> bool {
    let choice = Row::ActiveSigningKey.to_string();
    state.active_signing_key().is_some() && state.quarantined.iter().all(|bad| bad.row != choice)
}
