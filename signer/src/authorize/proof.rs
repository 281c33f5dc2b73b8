//! Proof that whoever asks for a signature over a master's public key holds the private one.
//!
//! The proof names the store, the caller's TLS key, the master and the time, so it needs no
//! challenge, any replica can check it, and it is of no use to anybody else. Seen again under the
//! same TLS key it asks for what was asked before.

use std::fmt;
use std::time::Duration;

use minion::verify::{KeyHash, PublicKey};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use sha2::{Digest, Sha256};
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
/// As text: `mastersign-proof-v1`, purpose, store uuid, SHA-256 of the TLS client key's
/// `SubjectPublicKeyInfo`, key sha256, master id and UTC time, each line ended by LF. The signature
/// is RSA PKCS#1 v1.5 with SHA-256 by the master's private key: a hash that Salt never signs with,
/// over a form that Salt never signs.
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
    /// [`ProofError::Skewed`] can be mended by setting a clock, [`ProofError::Signature`] by
    /// signing the right text.
    pub fn verify(
        &self,
        key: &PublicKey,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<(), ProofError> {
        if !self.is_signed_by(key, signature) {
            return Err(ProofError::Signature {
                expected: self.to_string(),
            });
        }
        fresh(self.time, now)
    }

    /// Whether `key` signed this proof, whenever that was.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, signature: &[u8]) -> bool {
        let digest = Sha256::digest(self.to_string());
        let digest_info = [&SHA256_PREFIX[..], &digest].concat();
        self.key == key.hash() && key.verify_digest_info(&digest_info, signature).is_ok()
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
        "the proof is not a signature by this key (RSA PKCS#1 v1.5, SHA-256) over the text that \
         this request calls for"
    )]
    Signature {
        /// The text that had to be signed.
        expected: String,
    },
    /// The proof is too old or from the future.
    #[error(
        "the proof's time is {} seconds {direction} the service's clock, which says {ours}; at \
         most {} are allowed: synchronise the clocks",
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

impl ProofError {
    /// One word for it, for programs and the audit log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Signature { .. } => "signature",
            Self::Skewed { .. } => "skewed",
        }
    }
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

/// RFC 8017, section 9.2, note 1.
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::MasterKey;

    fn proof(key: &MasterKey) -> Proof {
        Proof {
            purpose: Purpose::Put,
            store: Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef),
            client_key: [0xab; 32],
            key: key.public.hash(),
            master: "m1.example".parse().unwrap(),
            time: at("2026-11-22T02:25:06Z"),
        }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn the_text_is_seven_lines() {
        let key = MasterKey::generate();
        let expected = format!(
            "mastersign-proof-v1\nput\n01234567-89ab-4def-8123-456789abcdef\n{}\n{}\nm1.example\n\
             2026-11-22T02:25:06Z\n",
            "ab".repeat(32),
            key.public.hash()
        );
        assert_eq!(proof(&key).to_string(), expected);
    }

    #[test]
    fn the_holder_of_the_key_proves_it() {
        let key = MasterKey::generate();
        let proof = proof(&key);
        let signature = proof.sign(&key.private).unwrap();
        proof.verify(&key.public, &signature, proof.time).unwrap();
    }

    #[test]
    fn a_proof_is_for_one_purpose_store_tls_key_key_master_and_time() {
        let (key, other) = (MasterKey::generate(), MasterKey::generate());
        let made = proof(&key);
        let signature = made.sign(&key.private).unwrap();
        for wanted in [
            Proof {
                purpose: Purpose::Join,
                ..made.clone()
            },
            Proof {
                purpose: Purpose::Renew,
                ..made.clone()
            },
            Proof {
                purpose: Purpose::Request,
                ..made.clone()
            },
            Proof {
                store: Uuid::from_u128(1),
                ..made.clone()
            },
            Proof {
                client_key: [0xac; 32],
                ..made.clone()
            },
            Proof {
                key: other.public.hash(),
                ..made.clone()
            },
            Proof {
                master: "m2".parse().unwrap(),
                ..made.clone()
            },
            Proof {
                time: at("2026-11-22T02:25:07Z"),
                ..made.clone()
            },
        ] {
            let expected = wanted.to_string();
            assert_eq!(
                wanted.verify(&key.public, &signature, made.time),
                Err(ProofError::Signature { expected }),
            );
        }
    }

    #[test]
    fn another_key_proves_nothing() {
        let (key, other) = (MasterKey::generate(), MasterKey::generate());
        let proof = proof(&key);
        let by_other = proof.sign(&other.private).unwrap();
        proof
            .verify(&key.public, &by_other, proof.time)
            .unwrap_err();
        let signature = proof.sign(&key.private).unwrap();
        proof
            .verify(&other.public, &signature, proof.time)
            .unwrap_err();
        proof.verify(&key.public, &[], proof.time).unwrap_err();
    }

    #[test]
    fn ten_minutes_off_is_fresh_and_a_second_more_is_named() {
        let key = MasterKey::generate();
        let proof = proof(&key);
        let signature = proof.sign(&key.private).unwrap();
        let verify = |now: &str| proof.verify(&key.public, &signature, at(now));
        verify("2026-11-22T02:35:06Z").unwrap();
        verify("2026-11-22T02:15:06Z").unwrap();
        let late = verify("2026-11-22T02:35:07Z").unwrap_err().to_string();
        assert!(late.contains("601 seconds behind"), "{late}");
        let early = verify("2026-11-22T02:15:05Z").unwrap_err().to_string();
        assert!(early.contains("601 seconds ahead of"), "{early}");
    }
}
