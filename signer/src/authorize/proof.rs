//! Proof that whoever asks for a signature over a master's public key holds the private one.
//!
//! The proof names the store, the caller's TLS key, the master and the time, so it needs no challenge, any replica can
//! check it, and it is of no use to anybody else. Seen again under the same TLS key it asks for what was asked before.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use minion::verify::{KeyHash, PublicKey};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use uuid::Uuid;

use super::MasterId;
use crate::clock::Timestamp;

/// What a proof is for; a proof for one purpose is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A client certificate for a new master.
    Join,
    /// A signature over the master's public key.
    Put,
    /// A new client certificate for a known master.
    Renew,
    /// A signature by a signer without a network.
    Request,
}

impl Purpose {
    /// The word in the proof.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Put => "put",
            Self::Renew => "renew",
            Self::Request => "request",
        }
    }
}

/// The content of a proof.
///
/// As text: `mastersign-proof-v1`, purpose, store uuid, SHA-256 of the TLS client key's `SubjectPublicKeyInfo`, key sha256,
/// master id and UTC time, each line ended by LF. The signature is RSA PKCS#1 v1.5 with SHA-256 by the master's private
/// key: a hash that Salt never signs with, over a form that Salt never signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the proof is for.
    pub purpose: Purpose,
    /// The store it is for.
    pub store: Uuid,
    /// SHA-256 of the TLS client key's `SubjectPublicKeyInfo` in DER.
    pub client_key: [u8; 32],
    /// The master's public key, whose private half signs this.
    pub key: KeyHash,
    /// The master.
    pub master: MasterId,
    /// When the proof was made.
    pub time: Timestamp,
}

impl Proof {
    /// How far a proof's time may be from the service's clock, in either direction.
    pub const TOLERANCE: Duration = Duration::from_secs(600);

    /// Signs the proof with the master's private key.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL cannot sign with this key.
    pub fn sign(&self, key: &PKey<Private>) -> Result<Vec<u8>, openssl::error::ErrorStack> {
        Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(self.to_string().as_bytes())
    }

    /// Checks the signature under `key`, and that the proof is fresh.
    ///
    /// # Errors
    ///
    /// [`ProofError::Skewed`] can be mended by setting a clock, [`ProofError::Signature`] by signing the right text.
    pub fn verify(
        &self,
        key: &PublicKey,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<(), ProofError> {
        let text = self.to_string();
        let refused = || ProofError::Signature {
            expected: text.clone(),
        };
        if self.key != key.hash() {
            return Err(refused());
        }
        RsaPublicKeyComponents {
            n: key.modulus(),
            e: key.exponent(),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), signature)
        .map_err(|_| refused())?;
        fresh(self.time, now)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            purpose,
            store,
            client_key,
            key,
            master,
            time,
        } = self;
        let purpose = purpose.name();
        let store = store.hyphenated();
        let client_key = KeyHash::new(*client_key);
        write!(
            f,
            "mastersign-proof-v1\n{purpose}\n{store}\n{client_key}\n{key}\n{master}\n{time}\n"
        )
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The signature is not the master key's over the text that this request calls for.
    #[error(
        "the proof is not a signature by this key (RSA PKCS#1 v1.5, SHA-256) over the text that this request calls for"
    )]
    Signature {
        /// The text that had to be signed.
        expected: String,
    },
    /// The proof is too old or from the future.
    #[error(
        "the proof's time is {} seconds {direction} the service's clock, which says {ours}; at most {} are allowed: \
         synchronise the clocks",
        skew.as_secs(),
        Proof::TOLERANCE.as_secs()
    )]
    Skewed {
        /// The service's time.
        ours: Timestamp,
        /// How far the times are apart.
        skew: Duration,
        /// On which side of ours the proof's time is.
        direction: Direction,
    },
}

/// On which side of the service's time another time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Later.
    Ahead,
    /// Earlier.
    Behind,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ahead => "ahead of",
            Self::Behind => "behind",
        })
    }
}

fn fresh(time: Timestamp, now: Timestamp) -> Result<(), ProofError> {
    let skew = time.distance(now);
    if skew <= Proof::TOLERANCE {
        return Ok(());
    }
    Err(ProofError::Skewed {
        ours: now,
        skew,
        direction: if time > now {
            Direction::Ahead
        } else {
            Direction::Behind
        },
    })
}
