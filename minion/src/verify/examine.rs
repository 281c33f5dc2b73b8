//! What is wrong with a signature that does not verify.
//!
//! The verdict is [`PublicKey::verify`]'s, which says yes or no. To somebody whose minions do not
//! sign in, "no" is not enough: this opens the block that the key signed and compares it with the
//! mistakes that are known to happen. It is used only after the verdict, by people and not by a
//! handshake.

use openssl::rsa::Padding;
use sha2::{Digest, Sha256, Sha512};

use super::{Algorithm, KeyError, KeyHash, PublicKey, Signature, SignatureError, clean_key};

/// The verdict on a signature file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// Whether it verifies.
    pub verdict: Verdict,
    /// The master's key, by its canonical form.
    pub master: KeyHash,
    /// What does not change the verdict.
    pub remarks: Vec<String>,
}

/// Whether a signature verifies, and under what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No key made it over this master's key.
    Invalid {
        /// What is known about why; at least one.
        reasons: Vec<Reason>,
    },
    /// It verifies.
    Valid {
        /// The number of the signing key.
        key: usize,
        /// With what.
        algorithm: Algorithm,
    },
}

/// One reason, with the number of the signing key that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Made by this key with a hash that Salt does not have.
    Hash {
        /// The number of the key.
        key: usize,
        /// The hash.
        name: &'static str,
    },
    /// Another length than this key's signatures have.
    Length {
        /// Its length in bytes.
        found: usize,
    },
    /// Made by this key over the text with its final newline.
    Newline {
        /// The number of the key.
        key: usize,
    },
    /// Made by none of the keys.
    NoKey,
    /// Made by this key over something else.
    OtherMessage {
        /// The number of the key.
        key: usize,
    },
    /// No signature at all.
    Unreadable(SignatureError),
}

impl Reason {
    /// The reason in words; `by` names a key by its number.
    #[must_use]
    pub fn text(&self, by: impl Fn(usize) -> Option<String>) -> String {
        let by = |key: &usize| by(*key).unwrap_or_default();
        match self {
            Self::Hash { key, name } => format!(
                "it was made by {}, but with {name}; Salt has PKCS1v15-SHA1 and PKCS1v15-SHA224 \
                 only",
                by(key)
            ),
            Self::Length { found } => format!(
                "it has {found} bytes, and none of the given keys makes signatures of that length; \
                 the file was cut, two files were joined, or another key made it"
            ),
            Self::Newline { key } => format!(
                "it was made by {}, but over the key with its final newline, which the master does \
                 not show: salt-key --gen-signature did that before saltstack/salt #68930 and \
                 #66259 were fixed. Make it anew",
                by(key)
            ),
            Self::NoKey => "none of the given keys made it, or it was damaged".to_owned(),
            Self::OtherMessage { key } => format!(
                "it was made by {}, but over something else than this key: the signature of \
                 another master, or of this one before its key was changed or its file rewritten",
                by(key)
            ),
            Self::Unreadable(error) => error.to_string(),
        }
    }
}

/// Tries every key with both algorithms, and looks for the mistake if none fits.
///
/// # Errors
///
/// Fails if `master` is no public key in any spelling.
pub fn examine(
    signature: &[u8],
    master: &str,
    keys: &[PublicKey],
) -> Result<Examination, KeyError> {
    let shown = clean_key(master);
    let canonical = PublicKey::parse(shown.as_bytes());
    let master = match &canonical {
        Ok(key) => key.clone(),
        Err(KeyError::NotCanonical { .. }) => PublicKey::decode(&shown)?,
        Err(error) => return Err(error.clone()),
    };
    let mut remarks = Vec::new();
    if canonical.is_err() {
        remarks.push(
            "the master's key is not in canonical form; it was checked as the master shows it, and \
             the signing service does not sign this spelling"
                .to_owned(),
        );
    }
    let verdict = match Signature::from_file(signature) {
        Err(error) => Verdict::Invalid {
            reasons: vec![Reason::Unreadable(error)],
        },
        Ok(signature) => accepted(&signature, canonical.as_ref().ok(), &shown, keys)
            .unwrap_or_else(|| Verdict::Invalid {
                reasons: reasons(&signature, &shown, keys),
            }),
    };
    Ok(Examination {
        verdict,
        master: master.hash(),
        remarks,
    })
}

fn accepted(
    signature: &Signature,
    canonical: Option<&PublicKey>,
    shown: &str,
    keys: &[PublicKey],
) -> Option<Verdict> {
    keys.iter().enumerate().find_map(|(number, key)| {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| match canonical {
                Some(master) => key.verify(*algorithm, master, signature).is_ok(),
                None => recover(key, signature) == Some(algorithm.digest_info(shown.as_bytes())),
            })
            .map(|algorithm| Verdict::Valid {
                key: number,
                algorithm,
            })
    })
}

fn reasons(signature: &Signature, shown: &str, keys: &[PublicKey]) -> Vec<Reason> {
    let found = signature.as_bytes().len();
    let fits = |key: &PublicKey| key.modulus().len() == found;
    if !keys.iter().any(fits) {
        return vec![Reason::Length { found }];
    }
    let made: Vec<Reason> = keys
        .iter()
        .enumerate()
        .filter_map(|(number, key)| {
            Some(mistake(number, &recover(key, signature)?, shown.as_bytes()))
        })
        .collect();
    if made.is_empty() {
        vec![Reason::NoKey]
    } else {
        made
    }
}

/// What a key signed instead of what it should have.
fn mistake(key: usize, block: &[u8], shown: &[u8]) -> Reason {
    let with_newline = [shown, b"\n"].concat();
    let newline = |algorithm: Algorithm| block == algorithm.digest_info(&with_newline);
    if Algorithm::ALL.into_iter().any(newline) {
        return Reason::Newline { key };
    }
    for message in [shown, &with_newline] {
        for (name, digest) in [
            ("SHA-256", Sha256::digest(message).to_vec()),
            ("SHA-512", Sha512::digest(message).to_vec()),
        ] {
            if block.ends_with(&digest) {
                return Reason::Hash { key, name };
            }
        }
    }
    Reason::OtherMessage { key }
}

/// The block inside the signature, if this key made it.
fn recover(key: &PublicKey, signature: &Signature) -> Option<Vec<u8>> {
    let mut block = vec![0; key.rsa().size() as usize];
    if signature.as_bytes().len() != block.len() {
        return None;
    }
    let length = key
        .rsa()
        .public_decrypt(signature.as_bytes(), &mut block, Padding::PKCS1)
        .ok()?;
    block.truncate(length);
    Some(block)
}

#[cfg(test)]
mod tests {
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use openssl::sign::Signer;

    use super::*;

    struct Scene {
        signing: PKey<Private>,
        keys: Vec<PublicKey>,
        master: String,
    }

    impl Scene {
        fn new() -> Self {
            let signing = Rsa::generate(2048).unwrap();
            let other = Rsa::generate(2048).unwrap();
            let keys = [&other, &signing].map(|rsa| {
                let pem = String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap();
                PublicKey::decode(&pem).unwrap()
            });
            Self {
                signing: PKey::from_rsa(signing).unwrap(),
                keys: keys.into(),
                master: pem(&Rsa::generate(2048).unwrap()),
            }
        }

        fn sign(&self, hash: MessageDigest, message: &str) -> Vec<u8> {
            let mut signer = Signer::new(hash, &self.signing).unwrap();
            let raw = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
            Signature::new(raw).to_file().into_bytes()
        }

        fn verdict(&self, signature: &[u8]) -> Verdict {
            examine(signature, &self.master, &self.keys)
                .unwrap()
                .verdict
        }

        fn reason(&self, signature: &[u8]) -> Reason {
            match self.verdict(signature) {
                Verdict::Invalid { reasons } if reasons.len() == 1 => reasons[0].clone(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn pem(rsa: &Rsa<Private>) -> String {
        String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap()
    }

    /// What `salt-key --gen-signature` of three versions wrote.
    macro_rules! captured {
        ($case:literal) => {
            [
                include_str!(concat!(vectors!(), $case, "/master_pubkey_signature")),
                include_str!(concat!(vectors!(), $case, "/master.pub")),
                include_str!(concat!(vectors!(), $case, "/master_sign.pub")),
            ]
        };
    }
    macro_rules! vectors {
        () => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/gen-signature/")
        };
    }

    #[test]
    fn the_signatures_of_real_salt_are_valid() {
        for ([signature, master, signing], algorithm) in [
            (captured!("3006.30-sha1"), Algorithm::Sha1),
            (captured!("3007.17-sha1"), Algorithm::Sha1),
            (captured!("3008.5-sha1"), Algorithm::Sha1),
            (captured!("3008.5-sha224"), Algorithm::Sha224),
        ] {
            let keys = [PublicKey::decode(signing).unwrap()];
            let examination = examine(signature.as_bytes(), master, &keys).unwrap();
            assert_eq!(examination.verdict, Verdict::Valid { key: 0, algorithm });
            assert!(examination.remarks.is_empty());
        }
    }

    #[test]
    fn the_key_and_the_algorithm_are_found() {
        let scene = Scene::new();
        for (hash, algorithm) in [
            (MessageDigest::sha1(), Algorithm::Sha1),
            (MessageDigest::sha224(), Algorithm::Sha224),
        ] {
            let signature = scene.sign(hash, scene.master.trim());
            let expected = Verdict::Valid { key: 1, algorithm };
            assert_eq!(scene.verdict(&signature), expected);
        }
    }

    #[test]
    fn the_newline_of_old_salt_key_is_recognised() {
        let scene = Scene::new();
        let signature = scene.sign(MessageDigest::sha1(), &scene.master);
        assert_eq!(scene.reason(&signature), Reason::Newline { key: 1 });
    }

    #[test]
    fn a_hash_that_salt_lacks_is_named() {
        let scene = Scene::new();
        let signature = scene.sign(MessageDigest::sha256(), scene.master.trim());
        let name = "SHA-256";
        assert_eq!(scene.reason(&signature), Reason::Hash { key: 1, name });
    }

    #[test]
    fn the_signature_of_another_master_is_recognised() {
        let scene = Scene::new();
        let other = pem(&Rsa::generate(2048).unwrap());
        let signature = scene.sign(MessageDigest::sha1(), other.trim());
        assert_eq!(scene.reason(&signature), Reason::OtherMessage { key: 1 });
    }

    #[test]
    fn damage_is_described() {
        let scene = Scene::new();
        let good = scene.sign(MessageDigest::sha1(), scene.master.trim());
        let mut flipped = good.clone();
        flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
        assert_eq!(scene.reason(&flipped), Reason::NoKey);
        assert_eq!(scene.reason(&good[..200]), Reason::Length { found: 150 });
        let odd = Reason::Unreadable(SignatureError::NotBase64);
        assert_eq!(scene.reason(&good[..341]), odd);
        let empty = Reason::Unreadable(SignatureError::Empty);
        assert_eq!(scene.reason(b"\n"), empty);
    }

    #[test]
    fn a_signature_over_another_spelling_is_judged_as_a_minion_would() {
        let mut scene = Scene::new();
        let key = PublicKey::decode(&scene.master).unwrap();
        let body: String = scene
            .master
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        scene.master = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let signature = scene.sign(MessageDigest::sha1(), scene.master.trim());
        let examination = examine(&signature, &scene.master, &scene.keys).unwrap();
        let algorithm = Algorithm::Sha1;
        assert_eq!(examination.verdict, Verdict::Valid { key: 1, algorithm });
        assert_eq!(examination.master, key.hash());
        assert_eq!(examination.remarks.len(), 1);
        let over_canonical = scene.sign(MessageDigest::sha1(), key.canonical());
        assert_eq!(
            scene.reason(&over_canonical),
            Reason::OtherMessage { key: 1 }
        );
    }

    #[test]
    fn what_is_no_key_is_an_error() {
        let scene = Scene::new();
        assert!(examine(b"AAAA", "no key", &scene.keys).is_err());
    }
}
