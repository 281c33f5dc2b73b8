//! Why there is no answer, and whether asking again can help.

use std::sync::Arc;

use minion::verify::KeyHash;

use super::examiner::Unexamined;
use crate::authorize::{Denied, MasterId, ProofError, StatementError};
use crate::clock::Timestamp;
use crate::key_policy::Refusal;
use crate::{hsm, store};

/// Why a caller gets no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// As many new keys wait to be examined as may wait.
    #[error("too many keys wait to be examined")]
    Busy,
    /// Operators decided about this master faster than its key could be signed.
    #[error("decisions about this master overtook the request")]
    Contended,
    /// The caller may not have it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The task that made the signature ended without an answer.
    #[error("the signature's task ended without an answer")]
    Died,
    /// The signature could not be made; everybody who waited for it is told the same.
    #[error("failed to make the signature")]
    Flight(#[source] Arc<FlightError>),
    /// No HSM ever showed its key to this store.
    #[error("there is no signing key yet")]
    NoSigningKey,
    /// The store did not take note of who gets the signature.
    #[error("failed to record who reads the signature")]
    Note(#[source] store::Error),
    /// Only masters have their keys signed.
    #[error("the client certificate is not a master's")]
    NotAMaster,
    /// Only masters and admins read signatures.
    #[error("the client certificate is neither a master's nor an admin's")]
    NotAReader,
    /// Nothing was signed under this name.
    #[error("there is no such signature")]
    NotSigned,
    /// The caller asks under one hash and sends the key of another.
    #[error("the path names the key {path}, the body holds the key {body}")]
    OtherHash {
        /// What the path says.
        path: KeyHash,
        /// What the body is.
        body: KeyHash,
    },
    /// The store did not take note of the key.
    #[error("failed to record the presented key")]
    Present(#[source] store::Error),
    /// The caller does not hold the private key.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The key is not fit to be signed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Error {
    /// Whether a decision was taken while the signature was made, so that asking again is right.
    pub(super) fn is_outdated(&self) -> bool {
        let Self::Flight(error) = self else {
            return false;
        };
        matches!(
            **error,
            FlightError::Publish(store::PublishError::MasterChanged { .. })
        )
    }
}

impl From<Unexamined> for Error {
    fn from(why: Unexamined) -> Self {
        match why {
            Unexamined::Busy => Self::Busy,
            Unexamined::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<Unexamined> for FlightError {
    fn from(why: Unexamined) -> Self {
        match why {
            Unexamined::Busy => Self::Busy,
            Unexamined::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Why a signature could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlightError {
    /// As many keys wait to be examined as may wait.
    #[error("too many keys wait to be examined")]
    Busy,
    /// The HSMs hold another key than the active one, or signed with another.
    #[error("the HSM does not sign with the active signing key")]
    OtherSigningKey,
    /// The signature could not be stored, so it is not served.
    #[error("failed to store the signature")]
    Publish(#[from] store::PublishError),
    /// The key was admitted once, and is not any more: the rules grew, or what they looked at.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The HSM did not sign.
    #[error("failed to sign")]
    Sign(#[from] hsm::Error),
}

/// Why an operator's decision was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// The statement was made by another admin than the caller.
    #[error(
        "the statement is signed by admin {signer}, but the client certificate is {caller}'s; \
         hand in what you signed yourself"
    )]
    OtherAdmin {
        /// Whose certificate is in the statement.
        signer: String,
        /// Whose certificate made the connection.
        caller: String,
    },
    /// The statement is about another master.
    #[error("the path names the master {path}, the statement {statement}")]
    OtherMaster {
        /// What the path says.
        path: MasterId,
        /// What the statement says.
        statement: MasterId,
    },
    /// The statement was made too long ago, or in the future.
    #[error(
        "the statement's time is {seconds} seconds off the service's clock, which says {ours}; at \
         most 600 are allowed: synchronise the clocks and sign again"
    )]
    Skewed {
        /// The service's time.
        ours: Timestamp,
        /// How far the times are apart.
        seconds: u64,
    },
    /// The statement does not hold.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The store did not take the decision.
    #[error("failed to record the decision")]
    Store(#[from] store::DecideError),
}
