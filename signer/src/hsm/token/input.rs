//! What goes into `C_Sign`.
//!
//! An [`Input`] is made from a public key and from nothing else. Whoever holds a
//! [`Session`](super::Session) can therefore have public keys signed and no other bytes: there is
//! no way to spell another request.

use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use hsm_config::SignMechanism;
use minion::verify::{Algorithm, PublicKey};

/// A mechanism, and the bytes for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    mechanism: MechanismType,
    data: Vec<u8>,
}

impl Input {
    /// The request for a signature over the canonical text of `key`.
    #[must_use]
    pub fn new(mechanism: SignMechanism, algorithm: Algorithm, key: &PublicKey) -> Self {
        let message = key.canonical().as_bytes();
        Self {
            mechanism: mechanism_type(mechanism, algorithm),
            data: match mechanism {
                SignMechanism::Raw => algorithm.digest_info(message),
                SignMechanism::Hashed => message.to_vec(),
            },
        }
    }

    pub(super) const fn mechanism_type(&self) -> MechanismType {
        self.mechanism
    }

    /// The mechanism in cryptoki's terms, which has no name for `CKM_SHA224_RSA_PKCS` but lets its
    /// number through.
    pub(super) fn mechanism(&self) -> Mechanism<'static> {
        Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(self.mechanism, None))
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }
}

/// The mechanism that makes signatures of this algorithm.
#[must_use]
pub const fn mechanism_type(mechanism: SignMechanism, algorithm: Algorithm) -> MechanismType {
    match (mechanism, algorithm) {
        (SignMechanism::Raw, _) => MechanismType::RSA_PKCS,
        (SignMechanism::Hashed, Algorithm::Sha1) => MechanismType::SHA1_RSA_PKCS,
        (SignMechanism::Hashed, Algorithm::Sha224) => MechanismType::SHA224_RSA_PKCS,
    }
}
