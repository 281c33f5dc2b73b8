//! Who may have what signed.
//!
//! Four facts meet here: who is calling ([`Identity`]), that an operator accepted this key for that
//! master ([`CheckedStatement`]), that the caller holds the master's private key ([`Proof`]), and
//! what the key is. Only [`Permit`] carries the result, only this module makes one, and signing
//! consumes it: an unauthorized signature does not compile.
#![warn(clippy::wildcard_enum_match_arm)]

mod certificate;
mod checked;
mod identity;
mod operators;
mod permit;
mod proof;
mod remembered;
mod statement;
#[cfg(test)]
pub(crate) mod testing;

pub use certificate::CertificateError;
pub use checked::{CheckedStatement, Decision};
pub use identity::{Identity, IdentityError, MasterId, OperatorRole};
pub use operators::{OperatorsCa, OperatorsCaError};
pub use permit::{Denied, Permit, accepted, authorize, standing};
pub use proof::{Direction, Proof, ProofError, Purpose};
pub use statement::{SignError, SignedStatement, Statement, StatementError, Verb};
