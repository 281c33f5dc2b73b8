//! Why a sign-in did not succeed, in the words that Salt's operators know.
//!
//! Everything that depends on public data names its cause. What comes after an operation with the
//! private key has one name for all causes, because the difference would answer an attacker's
//! question about a ciphertext.

use super::super::envelope::{EnvelopeError, Hint};
use crate::verify::{Fingerprint, KeyError};

/// Why a sign-in did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The answer has no form that Salt's masters send, or names another version or algorithm.
    #[error("Sign-in attempt failed: the answer of the master is not usable")]
    Envelope(#[from] EnvelopeError),
    /// The key is not the one that `master_finger` names.
    ///
    /// Salt 3008.5, `salt/crypt.py`, `_finger_fail`.
    #[error(
        "The specified fingerprint in the master configuration file:\n{configured}\nDoes not match \
         the authenticating master's key:\n{found}\nVerify that the configured fingerprint matches \
         the fingerprint of the correct master and that this minion is not subject to a \
         man-in-the-middle attack."
    )]
    Finger {
        /// `master_finger`.
        configured: Fingerprint,
        /// The key's own.
        found: Fingerprint,
    },
    /// The master has as many minions as `max_minions` lets it have.
    #[error("The Salt Master has as many minions as max_minions allows ({0})")]
    Full(Proof),
    /// An unsigned answer.
    #[error("{0}")]
    Hint(Hint),
    /// The keys in the answer, the token or the signature of the AES key are wrong; which of them
    /// is not told.
    #[error("The Salt Master server's public key did not authenticate!")]
    KeyExchange,
    /// The text of the master's key is not the form that is signed.
    #[error("The Salt Master server's public key is not usable")]
    MasterKey(#[from] KeyError),
    /// The answer to another request.
    #[error("Invalid nonce: The payload nonce did not match the one of this sign-in")]
    Nonce,
    /// The master's signature over its answer is wrong.
    #[error("The payload signature did not validate.")]
    PayloadSignature,
    /// The master waits for an operator to accept the minion's key.
    #[error("The Salt Master has cached the public key for this node ({0})")]
    Pending(Proof),
    /// The master rejected the minion's key, or has another one for its id.
    #[error("The Salt Master has rejected this minion's public key! ({0})")]
    Rejected(Proof),
    /// The key was signed once and is revoked.
    #[error("The Salt Master server's public key is revoked")]
    Revoked,
    /// The signature of the master's key is no base64; a stock minion hangs here for ever.
    #[error(
        "There was an error while verifying the masters public-key signature: it is not base64"
    )]
    SignatureDamaged,
    /// The master sent no signature of its key.
    #[error(
        "The master did not send its public-key signature, but signature verification is enabled \
         on the minion. Either disable signature verification on the minion or enable signing the \
         public on the master!"
    )]
    SignatureMissing,
    /// The signature is no trusted signing key's, or it is another key's or a forged one.
    #[error("Received signed public-key from master but signature verification failed!")]
    SignatureRejected,
    /// The master's key is too short or has an unusual exponent.
    #[error(
        "The Salt Master server's public key is too weak: {bits} bits, or an exponent other than \
         65537"
    )]
    Weak {
        /// The size of the modulus.
        bits: u32,
    },
}

/// Whether the master itself is known to have said so, about this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Signed by the key that this master is known by, over our nonce.
    Signed,
    /// There is no key yet to check the signature with: anybody could have sent it.
    Unverified,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed by the known master",
            Self::Unverified => "not verifiable before the first complete sign-in",
        })
    }
}
