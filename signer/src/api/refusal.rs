//! Which [`Kind`] of refusal each error of the use case is, and what the caller is told.
//!
//! The sentences are the errors' own, as far as they are about the caller's request; causes inside
//! the service go to the log only.

use super::problem::{Kind, Problem};
use crate::authorize::{Denied, ProofError};
use crate::hsm;
use crate::key_policy::Refusal;
use crate::signing::{DecisionError, Error, FlightError};
use crate::store::{DecideError, PublishError};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Contended => Self::new(
                Kind::Conflict,
                format!("{detail}; repeat it to see what they say"),
            ),
            Error::Denied(denied) => denied.into(),
            Error::Died => Self::internal(error),
            Error::Busy => Self::new(
                Kind::Unavailable,
                "too many new keys are being examined; repeat the request later",
            ),
            Error::Flight(ref flight) => of_flight(flight).caused_by(error),
            Error::NoSigningKey => Self::new(
                Kind::HsmUnavailable,
                "no HSM has shown its signing key yet; repeat the request later",
            ),
            Error::NotAMaster => Self::new(
                Kind::Forbidden,
                "only masters have keys signed: use a client certificate for \
                 mastersign:master:<id>",
            ),
            Error::NotAReader => Self::new(
                Kind::Forbidden,
                "only the master itself and admins read signatures",
            ),
            Error::NotSigned => Self::new(
                Kind::NotFound,
                "no signature was made with this key and algorithm; the master gets its signature \
                 by PUT",
            ),
            Error::OtherHash { .. } => Self::new(
                Kind::Unprocessable,
                format!(
                    "{detail}; a key's name is SHA-256 over its canonical PEM without final newline"
                ),
            ),
            Error::Note(_) => Self::new(
                Kind::StoreUnavailable,
                "who reads the signature could not be recorded; repeat the request later",
            )
            .caused_by(error),
            Error::Present(_) => Self::new(
                Kind::StoreUnavailable,
                "the key could not be recorded; repeat the request later",
            )
            .caused_by(error),
            Error::Proof(proof) => proof.into(),
            Error::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::AcceptanceInvalid(_) | Denied::Quarantined => Kind::AcceptanceInvalid,
            Denied::NotYours => Kind::NotYours,
            Denied::OtherKey => Kind::KeyDenied,
            Denied::Pending | Denied::Unknown => Kind::NotFound,
            Denied::Rejected => Kind::KeyRejected,
            Denied::Revoked => Kind::KeyRevoked,
        };
        Self::new(kind, denied.to_string()).caused_by(denied)
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        let problem = Self::new(Kind::ProofRefused, error.to_string());
        match error {
            ProofError::Signature { expected } => problem.with("expected_text", expected),
            ProofError::Skewed { ours, skew, .. } => problem
                .with("service_time", ours.to_string())
                .with("skew_seconds", skew.as_secs()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::Form(_) => Kind::KeyNotCanonical,
            Refusal::Bits { .. }
            | Refusal::ClosePrimes
            | Refusal::Collision
            | Refusal::EvenModulus
            | Refusal::Exponent
            | Refusal::Known { .. }
            | Refusal::Power { .. }
            | Refusal::PrimeModulus
            | Refusal::Roca
            | Refusal::SharedFactor
            | Refusal::SigningKey { .. }
            | Refusal::SmallFactor { .. } => Kind::KeyUnfit,
        };
        Self::new(kind, refusal.to_string()).with("reason", refusal.code())
    }
}

impl From<DecisionError> for Problem {
    fn from(error: DecisionError) -> Self {
        let detail = error.to_string();
        match error {
            DecisionError::OtherAdmin { .. } | DecisionError::Statement(_) => {
                Self::new(Kind::StatementRefused, detail)
            }
            DecisionError::OtherMaster { .. } => Self::new(Kind::Unprocessable, detail),
            DecisionError::Skewed { ours, seconds } => Self::new(Kind::StatementRefused, detail)
                .with("service_time", ours.to_string())
                .with("skew_seconds", seconds),
            DecisionError::Store(decide) => decide.into(),
        }
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let detail = error.to_string();
        match error {
            DecideError::Conflict { current } => {
                Self::new(Kind::Conflict, detail).with("generation", current)
            }
            DecideError::Barred { .. }
            | DecideError::HeldBy { .. }
            | DecideError::IsAccepted
            | DecideError::IsDenied
            | DecideError::IsQuarantined
            | DecideError::IsRejected
            | DecideError::IsRevoked
            | DecideError::IsTheirs
            | DecideError::NotBarred { .. } => Self::new(Kind::Conflict, detail),
            DecideError::OtherStore { .. } => Self::new(Kind::StatementRefused, detail),
            DecideError::UnknownKey { .. } => Self::new(Kind::NotFound, detail),
            DecideError::Store(_) => Self::new(
                Kind::StoreUnavailable,
                "the decision could not be recorded; look at the master before you repeat it",
            )
            .caused_by(error),
        }
    }
}

fn of_flight(error: &FlightError) -> Problem {
    match error {
        FlightError::Busy => Problem::new(
            Kind::Unavailable,
            "too many keys are being examined; repeat the request later",
        ),
        FlightError::OtherSigningKey => Problem::new(
            Kind::HsmUnavailable,
            "the HSM does not hold the active signing key; an operator has to look at it",
        ),
        FlightError::Publish(PublishError::MasterChanged { .. }) => Problem::new(
            Kind::Conflict,
            "a decision about this master overtook the request; repeat it",
        ),
        FlightError::Publish(_) => Problem::new(
            Kind::StoreUnavailable,
            "the signature could not be stored, so it is not served; repeat the request later",
        ),
        FlightError::Refused(refusal) => refusal.clone().into(),
        FlightError::Sign(sign) => of_hsm(sign),
    }
}

fn of_hsm(error: &hsm::Error) -> Problem {
    match error {
        hsm::Error::Saturated => Problem::new(
            Kind::HsmSaturated,
            "too many signatures are waiting for the HSM; repeat the request later",
        ),
        hsm::Error::Lost | hsm::Error::Quarantined { .. } | hsm::Error::Unavailable => {
            Problem::new(
                Kind::HsmUnavailable,
                "no HSM can sign at present; signatures that were made before are still served",
            )
        }
        hsm::Error::Refused { .. } => Problem::new(
            Kind::AcceptanceInvalid,
            "the HSM worker does not find the key accepted; the service's log says why",
        ),
        hsm::Error::Rejected { .. } => Problem::new(
            Kind::Internal,
            "the token refused to sign; the service's log has the reason under this request_id",
        ),
    }
}
