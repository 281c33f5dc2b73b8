//! What a minion does with a master's key besides checking its signatures.
//!
//! It is apart from the verification that the signing service links and apart from the private key:
//! nothing here is secret but what is encrypted, so nothing here needs a constant time.

use openssl::bn::BigNum;
use openssl::pkey::PKey;
use openssl::rsa::Padding;

use super::private_key::{Encryption, PrivateOperation, fixed_length, less, oaep};
use super::x931;
use crate::verify::PublicKey;

impl PublicKey {
    /// Whether the key may take part in a handshake: at least 2048 bits and the exponent that
    /// everybody uses.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        self.bits() >= MIN_BITS && self.exponent() == [1, 0, 1]
    }

    /// Encrypts for the owner of this key.
    pub(super) fn encrypt(
        &self,
        encryption: Encryption,
        plain: &[u8],
    ) -> Result<Vec<u8>, PrivateOperation> {
        let sealed = PKey::from_rsa(self.rsa().to_owned()).and_then(|key| {
            let mut context = oaep(&key, encryption, |context| context.encrypt_init())?;
            let mut sealed = vec![0; key.size()];
            let length = context.encrypt(plain, Some(&mut sealed))?;
            sealed.truncate(length);
            Ok(sealed)
        });
        sealed.map_err(|_| PrivateOperation)
    }

    /// Whether `signature` is this key's X9.31 signature of `message`.
    pub(super) fn verify_x931(&self, message: &[u8], signature: &[u8]) -> bool {
        let size = self.rsa().size() as usize;
        let Some(expected) = x931::pad(message, size) else {
            return false;
        };
        self.power(signature).is_some_and(|block| block == expected)
    }

    /// The block in a raw signature: the power or the modulus less the power, whichever has the
    /// trailer.
    fn power(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let size = self.rsa().size() as usize;
        let mut block = vec![0; size];
        if signature.len() != size {
            return None;
        }
        self.rsa()
            .public_decrypt(signature, &mut block, Padding::NONE)
            .ok()?;
        if x931::ends_as_padded(*block.last()?) {
            return Some(block);
        }
        let power = BigNum::from_slice(&block).ok()?;
        fixed_length(&*less(self.rsa().n(), &power)?, size)
    }
}

/// What OpenSSL and Salt generate by default; anything shorter has been factored or soon will be.
const MIN_BITS: u32 = 2048;
