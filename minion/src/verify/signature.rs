//! A master's signature: its algorithm, its file, and its verdict.
//!
//! RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) is verified by recovering the padded block and
//! comparing it with the one encoding that we would make. Parsing the block instead is how
//! signature forgeries with a small exponent got through elsewhere.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::rsa::Padding;
use sha1::Sha1;
use sha2::{Digest, Sha224};

use super::PublicKey;

/// The two signature algorithms that Salt has, under Salt's own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `PKCS1v15-SHA1`, what a stock minion verifies with.
    Sha1,
    /// `PKCS1v15-SHA224`, for minions with `signing_algorithm: PKCS1v15-SHA224`.
    Sha224,
}

impl Algorithm {
    /// Both, in the order of Salt's documentation.
    pub const ALL: [Self; 2] = [Self::Sha1, Self::Sha224];

    /// Salt's name of the algorithm.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "PKCS1v15-SHA1",
            Self::Sha224 => "PKCS1v15-SHA224",
        }
    }

    /// The DER encoding of `DigestInfo` over `message` (RFC 8017, section 9.2, step 2).
    #[must_use]
    pub fn digest_info(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => [&SHA1_PREFIX[..], &Sha1::digest(message)].concat(),
            Self::Sha224 => [&SHA224_PREFIX[..], &Sha224::digest(message)].concat(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}

/// A name that is none of Salt's two signature algorithms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signature algorithm {0:?}; Salt has PKCS1v15-SHA1 and PKCS1v15-SHA224")]
pub struct UnknownAlgorithm(String);

/// The raw bytes of a signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Wraps the bytes that a key produced.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Reads the content of a `master_pubkey_signature` file.
    ///
    /// White space is ignored, as the minion's decoder does; anything else that is not base64 is
    /// refused, because a stock minion hangs on it for ever.
    ///
    /// # Errors
    ///
    /// Fails if the text is not base64 with its padding.
    pub fn from_file(text: &[u8]) -> Result<Self, SignatureError> {
        let dense: Vec<u8> = text
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        if dense.is_empty() {
            return Err(SignatureError::Empty);
        }
        STANDARD
            .decode(dense)
            .map(Self)
            .map_err(|_| SignatureError::NotBase64)
    }

    /// The exact content of Salt's `master_pubkey_signature`: one line of base64 and a LF.
    #[must_use]
    pub fn to_file(&self) -> String {
        let mut text = STANDARD.encode(&self.0);
        text.push('\n');
        text
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}

/// Why the content of a signature file is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nothing but white space.
    #[error("the signature file is empty")]
    Empty,
    /// A character outside the alphabet, or wrong padding.
    #[error(
        "the signature file is not base64; a stock minion that is shown such a file hangs at \
         sign-in"
    )]
    NotBase64,
}

impl PublicKey {
    /// Checks that this key signed the canonical text of `master`.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says no more than that: the cause of a bad signature is not knowable from the
    /// signature.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        master: &Self,
        signature: &Signature,
    ) -> Result<(), Rejected> {
        self.verify_message(algorithm, master.canonical().as_bytes(), signature)
    }

    /// Checks that this key signed `message`: a master's own signatures, which are over what it
    /// sends.
    pub(crate) fn verify_message(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Rejected> {
        self.verify_digest_info(&algorithm.digest_info(message), &signature.0)
    }

    /// Checks that this key signed exactly this `DigestInfo` (RFC 8017, section 9.2, step 2), for
    /// digests beside the two that Salt has.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_digest_info(&self, expected: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        let size = self.rsa().size() as usize;
        if signature.len() != size {
            return Err(Rejected);
        }
        let mut recovered = vec![0; size];
        let length = self
            .rsa()
            .public_decrypt(signature, &mut recovered, Padding::PKCS1)
            .map_err(|_| Rejected)?;
        if recovered.get(..length) == Some(expected) {
            Ok(())
        } else {
            Err(Rejected)
        }
    }
}

/// The signature is not this key's signature over that master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct Rejected;

// RFC 8017, section 9.2, note 1.
const SHA1_PREFIX: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];
const SHA224_PREFIX: [u8; 19] = [
    0x30, 0x2d, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04, 0x05,
    0x00, 0x04, 0x1c,
];
