//! Who may have what signed.
//!
//! Four facts meet here: who is calling ([`Identity`]), that an operator accepted this key for that master
//! ([`SignedStatement`]), that the caller holds the master's private key ([`Proof`]), and what the key is. Only
//! [`Permit`] carries the result, only this module makes one, and signing consumes it: an unauthorized signature does
//! not compile.

mod identity;
mod statement;

pub use identity::{Identity, IdentityError, MasterId, OperatorRole};
pub use statement::{SignedStatement, Statement, StatementError, Verb};
