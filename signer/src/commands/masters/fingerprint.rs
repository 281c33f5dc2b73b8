//! Which key an operator means by a fingerprint.
//!
//! One key has several fingerprints that look alike, and people paste the one that their tool
//! shows. All of them are computed from the key here, and the answer says which one it was, so that
//! a match is never a matter of luck.

use minion::verify::{Fingerprint, KeyHash, PublicKey};
use sha2::{Digest, Sha512};

/// A fingerprint as somebody gave it: hexadecimal digits, colons and case apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given(String);

/// Why a text cannot choose a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GivenError {
    /// Not hexadecimal.
    #[error(
        "the key is named by its SHA-256 or a fingerprint: hexadecimal digits, with or without colons"
    )]
    NotHex,
    /// MD5 or SHA-1.
    #[error(
        "this is an {0} fingerprint, and another key with the same one can be made; compare the SHA-256 \
         (`salt-key --finger-all` with hash_type: sha256)"
    )]
    Weak(&'static str),
    /// A part of one.
    #[error("this is {0} hexadecimal digits long; give the whole fingerprint (64 for SHA-256)")]
    Length(usize),
}

impl Given {
    pub(super) fn parse(text: &str) -> Result<Self, GivenError> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix("sha256:").unwrap_or(&text);
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(GivenError::NotHex);
        }
        match digits.len() {
            64 | 128 => Ok(Self(digits)),
            32 => Err(GivenError::Weak("MD5")),
            40 => Err(GivenError::Weak("SHA-1")),
            other => Err(GivenError::Length(other)),
        }
    }

    /// Whether this is the SHA-256 that names a key.
    pub(super) fn is(&self, name: KeyHash) -> bool {
        self.0 == name.to_string()
    }

    /// Which fingerprint of `key` this is.
    pub(super) fn matches(&self, key: &PublicKey) -> Option<&'static str> {
        forms(key)
            .into_iter()
            .find(|(_, digits)| *digits == self.0)
            .map(|(name, _)| name)
    }
}

fn forms(key: &PublicKey) -> Vec<(&'static str, String)> {
    let dense = |fingerprint: Fingerprint| fingerprint.to_string().replace(':', "");
    let sha512 = |bytes: &[u8]| hex::encode(Sha512::digest(bytes));
    let body: String = key
        .canonical()
        .lines()
        .filter(|line| !line.contains("-----"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut forms = vec![
        ("the key's SHA-256", key.hash().to_string()),
        ("Salt's fingerprint", dense(Fingerprint::salt(key))),
        (
            "the fingerprint of the whole file, as salt-key of 3008 shows it",
            dense(Fingerprint::file(key)),
        ),
        (
            "Salt's fingerprint with hash_type: sha512",
            sha512(body.as_bytes()),
        ),
        (
            "the SHA-512 of the whole file",
            sha512(key.to_file().as_bytes()),
        ),
    ];
    if let Ok(der) = key.to_der() {
        if let Ok(spki) = Fingerprint::spki(key) {
            forms.push(("the SPKI fingerprint", dense(spki)));
        }
        forms.push(("the SPKI's SHA-512", sha512(&der)));
    }
    forms
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;
    use sha2::Sha256;

    use super::*;

    fn key() -> PublicKey {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap()
    }

    fn named(text: &str, key: &PublicKey) -> Option<&'static str> {
        Given::parse(text).unwrap().matches(key)
    }

    #[test]
    fn every_form_is_recognised_and_named() {
        let key = key();
        let salt = Fingerprint::salt(&key).to_string();
        assert_eq!(
            named(&key.hash().to_string(), &key),
            Some("the key's SHA-256")
        );
        assert_eq!(named(&salt, &key), Some("Salt's fingerprint"));
        assert_eq!(
            named(&salt.to_uppercase(), &key),
            Some("Salt's fingerprint")
        );
        assert_eq!(
            named(&salt.replace(':', ""), &key),
            Some("Salt's fingerprint")
        );
        let file = hex::encode(Sha256::digest(key.to_file()));
        assert!(
            named(&format!("sha256:{file}"), &key)
                .unwrap()
                .contains("3008")
        );
        let der = hex::encode(Sha256::digest(key.to_der().unwrap()));
        assert_eq!(named(&der, &key), Some("the SPKI fingerprint"));
        let long = hex::encode(Sha512::digest(key.to_file()));
        assert_eq!(named(&long, &key), Some("the SHA-512 of the whole file"));
    }

    #[test]
    fn another_key_is_not_matched() {
        let (key, other) = (key(), key());
        assert_eq!(named(&other.hash().to_string(), &key), None);
    }

    #[test]
    fn what_can_be_forged_or_guessed_is_refused() {
        assert_eq!(Given::parse(&"a".repeat(32)), Err(GivenError::Weak("MD5")));
        assert_eq!(
            Given::parse(&"a".repeat(40)),
            Err(GivenError::Weak("SHA-1"))
        );
        assert_eq!(Given::parse(&"a".repeat(63)), Err(GivenError::Length(63)));
        assert_eq!(Given::parse("m1"), Err(GivenError::NotHex));
        assert_eq!(Given::parse(""), Err(GivenError::Length(0)));
    }
}
