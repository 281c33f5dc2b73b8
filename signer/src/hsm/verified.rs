//! A signature that is one.
//!
//! The type is the proof of the check: there is no way to make a value but to verify, so what takes
//! one need not do it again.

use minion::verify::{Algorithm, KeyHash, PublicKey, Rejected, Signature};

/// A signature, with the names of what it was verified for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    signing_key: KeyHash,
    algorithm: Algorithm,
    key: KeyHash,
    signature: Signature,
}

impl Verified {
    /// Verifies, with what a minion verifies with, that `signing_key` signed `key`.
    ///
    /// # Errors
    ///
    /// Fails if it did not.
    pub fn new(
        signing_key: &PublicKey,
        algorithm: Algorithm,
        key: &PublicKey,
        signature: Signature,
    ) -> Result<Self, Rejected> {
        signing_key.verify(algorithm, key, &signature)?;
        Ok(Self {
            signing_key: signing_key.hash(),
            algorithm,
            key: key.hash(),
            signature,
        })
    }

    /// The signature, if it is of this key, by this algorithm, under this signing key.
    #[must_use]
    pub fn take(
        self,
        signing_key: KeyHash,
        algorithm: Algorithm,
        key: KeyHash,
    ) -> Option<Signature> {
        let is_for = (self.signing_key, self.algorithm, self.key);
        (is_for == (signing_key, algorithm, key)).then_some(self.signature)
    }

    pub(super) fn into_signature(self) -> Signature {
        self.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::MasterKey;

    #[test]
    fn a_signature_is_verified_for_one_key_one_algorithm_and_one_signing_key() {
        let [signing, master, other] = std::array::from_fn(|_| MasterKey::generate());
        let info = Algorithm::Sha1.digest_info(master.public.canonical().as_bytes());
        let mut bytes = vec![0; 256];
        let padding = openssl::rsa::Padding::PKCS1;
        let private = signing.private.rsa().unwrap();
        private.private_encrypt(&info, &mut bytes, padding).unwrap();
        let signature = Signature::new(bytes);
        let verify = |signing: &MasterKey, algorithm, master: &MasterKey| {
            Verified::new(
                &signing.public,
                algorithm,
                &master.public,
                signature.clone(),
            )
        };
        assert!(verify(&other, Algorithm::Sha1, &master).is_err());
        assert!(verify(&signing, Algorithm::Sha224, &master).is_err());
        assert!(verify(&signing, Algorithm::Sha1, &other).is_err());
        let verified = verify(&signing, Algorithm::Sha1, &master).unwrap();
        let [signing, master, other] = [&signing, &master, &other].map(|key| key.public.hash());
        let take = |signing, algorithm, master| verified.clone().take(signing, algorithm, master);
        assert_eq!(take(other, Algorithm::Sha1, master), None);
        assert_eq!(take(signing, Algorithm::Sha224, master), None);
        assert_eq!(take(signing, Algorithm::Sha1, other), None);
        assert_eq!(take(signing, Algorithm::Sha1, master), Some(signature));
    }
}
