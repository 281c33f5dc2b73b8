//! A statement that an admin really made.
//!
//! The type is the proof of the check: what takes a [`CheckedStatement`] need not, and cannot
//! forget to, check again.

use super::{SignedStatement, Statement};

/// A statement whose signature, certificate and signer were checked by
/// [`OperatorsCa`](super::OperatorsCa).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedStatement {
    statement: Statement,
    signed: SignedStatement,
    admin: String,
    certificate: [u8; 32],
}

impl CheckedStatement {
    pub(super) const fn new(
        statement: Statement,
        signed: SignedStatement,
        admin: String,
        certificate: [u8; 32],
    ) -> Self {
        Self {
            statement,
            signed,
            admin,
            certificate,
        }
    }

    /// What the admin decided.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The evidence, as it is stored.
    #[must_use]
    pub const fn signed(&self) -> &SignedStatement {
        &self.signed
    }

    /// The name of the admin, without `mastersign:admin:`.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// SHA-256 of the admin's certificate in DER.
    #[must_use]
    pub const fn certificate(&self) -> [u8; 32] {
        self.certificate
    }
}
