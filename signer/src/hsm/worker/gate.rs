//! What may reach the token.
//!
//! The service has decided all of this before. It is decided again here, from this process's own
//! configuration, because the service talks to the network and to a database and this process does
//! not: whoever takes the service still has no key signed that an operator did not accept.

use std::sync::OnceLock;

use hsm_config::SignMechanism;
use minion::verify::{Algorithm, PublicKey};
use uuid::Uuid;

use super::super::protocol::WorkerReady;
use crate::authorize::{OperatorsCa, SignedStatement};
use crate::hsm::token::Input;
use crate::key_policy;

/// Checks each key before it is queued for a session.
#[derive(Debug)]
pub(super) struct Gate {
    operators: OperatorsCa,
    mechanism: SignMechanism,
    store: OnceLock<Uuid>,
    own: OnceLock<Own>,
}

#[derive(Debug)]
struct Own {
    key: PublicKey,
    description: WorkerReady,
}

impl Gate {
    pub(super) const fn new(operators: OperatorsCa, mechanism: SignMechanism) -> Self {
        Self {
            operators,
            mechanism,
            store: OnceLock::new(),
            own: OnceLock::new(),
        }
    }

    /// Says whose acceptances count; false if that was said before.
    pub(super) fn set_store(&self, store: Uuid) -> bool {
        self.store.set(store).is_ok()
    }

    /// Opens the gate; the key is the one on the token, which is never signed itself.
    pub(super) fn open(&self, key: PublicKey, description: WorkerReady) {
        // Set once, by the one keeper of this process.
        let _ = self.own.set(Own { key, description });
    }

    pub(super) fn description(&self) -> Option<&WorkerReady> {
        self.own.get().map(|own| &own.description)
    }

    /// What goes into the token, if the key may be signed.
    pub(super) fn admit(
        &self,
        algorithm: Algorithm,
        key: &str,
        acceptance: &SignedStatement,
    ) -> Result<Input, String> {
        let (Some(own), Some(store)) = (self.own.get(), self.store.get()) else {
            return Err("the worker is not ready".to_owned());
        };
        let key =
            key_policy::admit(key.as_bytes(), [&own.key]).map_err(|refusal| refusal.to_string())?;
        self.operators
            .check_acceptance(acceptance, *store, key.hash())
            .map_err(|error| error.to_string())?;
        Ok(Input::new(self.mechanism, algorithm, &key))
    }
}
