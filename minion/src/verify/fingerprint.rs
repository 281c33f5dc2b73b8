//! The fingerprints that people compare, under the names of who prints them.
//!
//! Salt hashes text, and not always the same text: `key.finger`, `master_finger` and `salt-key` of
//! 3006 and 3007 hash the base64 lines of the PEM, `salt-key -f` of 3008.5 the whole file. Tools
//! around HSMs hash the DER encoding. All three are SHA-256 and look alike, so a fingerprint never
//! stands without its name.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{KeyError, PublicKey};

/// SHA-256 in Salt's notation: lower-case pairs joined by colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// What `salt-call key.finger`, `master_finger` and `salt-key -F` of 3006 and 3007 show: the
    /// body lines with their LFs.
    ///
    /// Salt 3008.5, `salt/utils/crypt.py`, `pem_finger`: header and footer are cut off, every kept
    /// line ends with its LF.
    #[must_use]
    pub fn salt(key: &PublicKey) -> Self {
        let body = key
            .canonical()
            .lines()
            .filter(|line| !line.contains("-----"));
        let mut hash = Sha256::new();
        for line in body {
            hash.update(line);
            hash.update("\n");
        }
        Self(hash.finalize().into())
    }

    /// What `salt-key -f` and `-F` of 3008.5 show: the whole file with its final newline.
    #[must_use]
    pub fn file(key: &PublicKey) -> Self {
        Self(Sha256::digest(key.to_file()).into())
    }

    /// What OpenSSL and HSM tools show: the DER encoding of the `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// Fails only if OpenSSL cannot encode the key.
    pub fn spki(key: &PublicKey) -> Result<Self, KeyError> {
        Ok(Self(Sha256::digest(key.to_der()?).into()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(BadFingerprint)?;
            let lower_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            if pair.len() != 2 || !pair.chars().all(lower_hex) {
                return Err(BadFingerprint);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadFingerprint)?;
        }
        match pairs.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(BadFingerprint),
        }
    }
}

/// A text that is no SHA-256 in Salt's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 32 lower-case hexadecimal pairs joined by colons")]
pub struct BadFingerprint;

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
