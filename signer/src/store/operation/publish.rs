//! A signature becomes one that may be served.
//!
//! The HSM took its time, and an operator may have revoked the key in between. So the decision that
//! allowed the signature must still be the newest one when the signature is written; the comparison
//! happens in the transaction.

use std::sync::Arc;

use minion::verify::{Algorithm, KeyHash, PublicKey, Signature};

use crate::audit::{Action, Actor};
use crate::authorize::{Identity, MasterId};
use crate::store::Error;
use crate::store::change::{Change, Effect, Operation, Step, View};
use crate::store::layout::Row;
use crate::store::row::SignatureRow;
use crate::store::state::{Status, StoredSignature};

/// A signature that was just made and verified.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The key that made it.
    pub signing_key: KeyHash,
    /// How.
    pub algorithm: Algorithm,
    /// The key that it is over.
    pub key: Arc<PublicKey>,
    /// The master that showed the key.
    pub master: MasterId,
    /// The master's generation when the signature was allowed.
    pub generation: u64,
    /// The signature.
    pub signature: Signature,
}

/// Why a signature was not stored, and must not be served.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// An operator decided about the master since; whether it may have the signature must be asked
    /// anew.
    #[error("an operator decided about the master {master} while the signature was being made")]
    MasterChanged {
        /// The master.
        master: MasterId,
    },
    /// The signing key is not the active one.
    #[error("the signing key {signing_key} is not the active one")]
    NotActive {
        /// The key that made the signature.
        signing_key: KeyHash,
    },
    /// The signature could not be written.
    #[error("the signature was not stored")]
    Store(#[from] Error),
}

impl Operation for Publication {
    type Output = Arc<StoredSignature>;
    type Error = PublishError;

    fn decide(&self, view: &View<'_>) -> Result<Step<Arc<StoredSignature>>, PublishError> {
        let state = view.state;
        let active = state.active_signing_key();
        if active.map(|record| record.key.hash()) != Some(self.signing_key) {
            return Err(PublishError::NotActive {
                signing_key: self.signing_key,
            });
        }
        let hash = self.key.hash();
        let is_unchanged = state.key(&hash).is_some_and(|(master, record)| {
            master.id == self.master
                && master.generation == self.generation
                && !master.barred
                && record.status == Status::Accepted
        });
        if !is_unchanged {
            return Err(PublishError::MasterChanged {
                master: self.master.clone(),
            });
        }
        if let Some(existing) = state.signature(self.signing_key, self.algorithm, hash) {
            return Ok(Step::Done(Arc::clone(existing)));
        }
        let stored = Arc::new(StoredSignature {
            signing_key: self.signing_key,
            algorithm: self.algorithm,
            key: hash,
            master: self.master.clone(),
            signature: self.signature.clone(),
            created_at: view.now,
            audit_seq: view.seq,
        });
        let change = self.change(view, &stored)?;
        Ok(Step::Write(Box::new(change), stored))
    }
}

impl Publication {
    fn change(&self, view: &View<'_>, stored: &Arc<StoredSignature>) -> Result<Change, Error> {
        let hash = stored.key;
        let actor = Actor {
            identity: Identity::Master(self.master.clone()).to_string(),
            certificate: None,
        };
        let subject = format!("key {hash} of {}", self.master);
        let mut change = Change::new(view.now, actor, Action::SignaturePublished, subject);
        change.detail("algorithm", &self.algorithm);
        change.detail("generation", &self.generation);
        change.detail("key", &hash);
        change.detail("master", &self.master);
        change.detail("signing_key", &self.signing_key);
        change.guard(view.state, &Row::ActiveSigningKey);
        change.guard(view.state, &Row::Key(hash));
        change.guard(view.state, &Row::Master(self.master.clone()));
        let row = Row::Signature(self.signing_key, self.algorithm, hash);
        change.put(view.state, &row, &SignatureRow::from(&**stored))?;
        change.effect(Effect::Signature(Arc::clone(stored)));
        Ok(change)
    }
}
