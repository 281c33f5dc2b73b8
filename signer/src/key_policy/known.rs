//! Keys whose private half is in documents, test suites or on web pages.
//!
//! A short list of those that are at hand for somebody who tries out a Salt master: it catches
//! copying, not weakness. By SHA-256 of the `SubjectPublicKeyInfo`, as Boulder and badkeys name
//! keys.

use minion::verify::PublicKey;
use sha2::{Digest, Sha256};

use super::Refusal;

/// The key is none whose private half was published.
pub(super) fn unpublished(key: &PublicKey) -> Result<(), Refusal> {
    let spki = key.to_der()?;
    let hash = hex::encode(Sha256::digest(spki));
    match KNOWN.iter().find(|(known, _)| *known == hash) {
        Some((_, origin)) => Err(Refusal::Known { origin }),
        None => Ok(()),
    }
}

/// SHA-256 of the `SubjectPublicKeyInfo`, and where the private key can be read.
const KNOWN: [(&str, &str); 5] = [
    (
        "8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878",
        "testRSA2048 of RFC 9500, section 2.1, a key for tests",
    ),
    (
        "bf5026af5a5755507acc85120d41f19b2002d68e2b4deea895f111297f28e786",
        "PRIVKEY_DATA of Salt's own test suite",
    ),
    (
        "48aeb6dce291423e07ba77db08ab1d1279544a9df1517a349856d6b9c8a8a2fd",
        "PUB_KEY2 of Salt's own test suite",
    ),
    (
        "6fd13c2435a361e7c588cd17f55f5ad3df0177a66c1727a6a200845f4d7ab88c",
        "the example key of RFC 7515, appendix A.2",
    ),
    (
        "f56c8b01227f62ddbc16eb29a6ac0b310e276760a5e06302fa881a35146f6bc7",
        "the example key of the JWT debugger at jwt.io",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_policy::testing::RFC_9500;

    #[test]
    fn a_published_test_key_is_named() {
        let key = PublicKey::parse(RFC_9500.as_bytes()).unwrap();
        let refusal = unpublished(&key).unwrap_err();
        assert!(refusal.to_string().contains("RFC 9500"), "{refusal}");
    }

    #[test]
    fn the_list_is_well_formed() {
        for (hash, origin) in KNOWN {
            let bytes = hex::decode(hash).unwrap();
            assert_eq!((bytes.len(), hex::encode(bytes)), (32, hash.to_owned()));
            assert!(!origin.is_empty());
        }
    }
}
