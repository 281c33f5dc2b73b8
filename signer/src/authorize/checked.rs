//! A statement that an admin really made.
//!
//! The types are the proof of the check: what takes one of them need not, and cannot forget to,
//! check again.

use std::sync::Arc;

use super::{SignedStatement, Statement};

/// What a statement says whose signature, certificate and signer were checked by
/// [`OperatorsCa`](super::OperatorsCa).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    statement: Statement,
    admin: String,
    certificate: [u8; 32],
}

impl Decision {
    pub(super) const fn new(statement: Statement, admin: String, certificate: [u8; 32]) -> Self {
        Self {
            statement,
            admin,
            certificate,
        }
    }

    /// What the admin decided.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// A [`Decision`] with the evidence for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedStatement {
    decision: Arc<Decision>,
    signed: SignedStatement,
}

impl CheckedStatement {
    pub(super) const fn new(decision: Arc<Decision>, signed: SignedStatement) -> Self {
        Self { decision, signed }
    }

    /// What the admin decided.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.decision.statement
    }

    /// The evidence, as it is stored.
    #[must_use]
    pub const fn signed(&self) -> &SignedStatement {
        &self.signed
    }

    /// The name of the admin, without `mastersign:admin:`.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.decision.admin
    }

    /// SHA-256 of the admin's certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> [u8; 32] {
        self.decision.certificate
    }
}
