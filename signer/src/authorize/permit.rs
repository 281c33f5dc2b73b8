//! The right to have one key signed once.
//!
//! The decision takes what is known as arguments and asks nobody, so it can be tested as a table. It reads the master's
//! state *and* checks the operator's signature: the state alone could have been written by whoever took the database.

use std::sync::Arc;

use minion::verify::{KeyHash, PublicKey};
use uuid::Uuid;

use super::{Identity, MasterId, OperatorsCa, SignedStatement, StatementError};
use crate::store::{KeyRecord, Master, Status};

/// Says that a caller may have this key signed. Signing takes it by value.
///
/// Only [`authorize`] makes one:
///
/// ```compile_fail,E0451
/// # fn forge(
/// #     master: signer::authorize::MasterId,
/// #     key: std::sync::Arc<minion::verify::PublicKey>,
/// #     acceptance: std::sync::Arc<signer::authorize::SignedStatement>,
/// # ) -> signer::authorize::Permit {
/// signer::authorize::Permit { master, key, acceptance, generation: 1 }
/// # }
/// ```
///
/// It is good for one signature:
///
/// ```compile_fail,E0382
/// # fn sign(permit: signer::authorize::Permit) {}
/// fn twice(permit: signer::authorize::Permit) {
///     sign(permit);
///     sign(permit);
/// }
/// ```
///
/// and there is no second copy:
///
/// ```compile_fail,E0599
/// fn copy(permit: signer::authorize::Permit) -> signer::authorize::Permit {
///     permit.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    master: MasterId,
    key: Arc<PublicKey>,
    acceptance: Arc<SignedStatement>,
    generation: u64,
}

impl Permit {
    /// The master whose key it is.
    #[must_use]
    pub const fn master(&self) -> &MasterId {
        &self.master
    }

    /// The key to sign.
    #[must_use]
    pub const fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    /// The admin's decision that this rests on; the HSM worker checks it again.
    #[must_use]
    pub const fn acceptance(&self) -> &Arc<SignedStatement> {
        &self.acceptance
    }

    /// The master's generation at the time; a later decision makes it outdated.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Decides whether `caller` may have `key` signed, given what is known of the master that it claims to be.
///
/// # Errors
///
/// Says who has to do something about it; [`Denied::Pending`] may change when an operator decides.
pub fn authorize(
    caller: &Identity,
    key: Arc<PublicKey>,
    master: Option<&Master>,
    operators: &OperatorsCa,
    store: Uuid,
) -> Result<Permit, Denied> {
    let Identity::Master(id) = caller else {
        return Err(Denied::NotYours);
    };
    let master = master.ok_or(Denied::Unknown)?;
    if master.id != *id {
        return Err(Denied::NotYours);
    }
    let record = standing(master, key.hash())?;
    let acceptance = record
        .decision
        .as_ref()
        .ok_or(Denied::AcceptanceInvalid(StatementError::NotAnAcceptance))?;
    let checked = operators
        .check_acceptance(acceptance, store, key.hash())
        .map_err(Denied::AcceptanceInvalid)?;
    if checked.statement().master != *id {
        return Err(Denied::AcceptanceInvalid(StatementError::OtherMaster));
    }
    if checked.statement().generation > master.generation {
        return Err(Denied::AcceptanceInvalid(StatementError::FromTheFuture));
    }
    Ok(Permit {
        master: id.clone(),
        key,
        acceptance: Arc::clone(acceptance),
        generation: master.generation,
    })
}

/// Where a key stands: its record if it is accepted, else why it is not.
///
/// # Errors
///
/// As [`authorize`].
pub fn standing(master: &Master, key: KeyHash) -> Result<&KeyRecord, Denied> {
    if master.barred {
        return Err(Denied::Revoked);
    }
    let record = master.keys.get(&key).ok_or(Denied::Unknown)?;
    match record.status {
        Status::Accepted => Ok(record),
        Status::Denied => Err(Denied::OtherKey),
        Status::Pending => Err(Denied::Pending),
        Status::Rejected => Err(Denied::Rejected),
        Status::Revoked => Err(Denied::Revoked),
    }
}

/// Why a key is not signed for this caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The state says accepted, but no operator's signature bears it out: the database was tampered with, or the
    /// operators' CA was exchanged.
    #[error("the key is marked as accepted, but no admin's signature bears that out")]
    AcceptanceInvalid(#[source] StatementError),
    /// The caller is not the master that the key is for.
    #[error("the client certificate does not belong to this master")]
    NotYours,
    /// The master has another key, or another one is waiting for a decision.
    #[error("another key is accepted or pending for this master; an operator has to decide between them")]
    OtherKey,
    /// No operator has decided yet.
    #[error("the key waits for an operator's decision")]
    Pending,
    /// An operator said no.
    #[error("an operator rejected this key")]
    Rejected,
    /// The key or the whole master is barred.
    #[error("an operator revoked this key or this master")]
    Revoked,
    /// The key was never presented by this master.
    #[error("this master never presented such a key")]
    Unknown,
}
