//! The right to have one key signed once.

use std::sync::Arc;

use minion::verify::PublicKey;

use super::{MasterId, SignedStatement};

/// Says that a caller may have this key signed. Signing takes it by value.
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
