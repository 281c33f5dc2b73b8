//! Which key an operator means by a fingerprint.
//!
//! One key has many fingerprints that look alike, and people paste the one that their tool shows.
//! All of them are computed from the key here, and the answer says which one it was, so that a match
//! is never a matter of luck. Salt's `hash_type` may be MD5 or SHA-1, so those are understood and
//! named as well; but another key with the same one can be made, and nothing is decided by them.

use std::fmt;

use minion::verify::{KeyHash, PublicKey};
use openssl::hash::{MessageDigest, hash};

/// A fingerprint as somebody gave it: hexadecimal digits, colons and case apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    digits: String,
    digest: Digest,
}

/// Why a text cannot be a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Not hexadecimal.
    #[error(
        "the key is named by its SHA-256 or a fingerprint: hexadecimal digits, with or without colons"
    )]
    NotHex,
    /// A part of one.
    #[error("this is {0} hexadecimal digits long; give the whole fingerprint (64 for SHA-256)")]
    Length(usize),
}

/// A digest that Salt's `hash_type` may name, or a tool use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// 128 bits; two texts with the same one can be made.
    Md5,
    /// 160 bits; likewise.
    Sha1,
    /// SHA-2 with 224 bits.
    Sha224,
    /// SHA-2 with 256 bits, Salt's default.
    Sha256,
    /// SHA-2 with 384 bits.
    Sha384,
    /// SHA-2 with 512 bits.
    Sha512,
}

/// What was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The lines between header and footer.
    Body,
    /// The DER encoding.
    Der,
    /// The PEM with its final newline.
    File,
    /// The PEM without it: what is signed.
    Text,
}

/// A fingerprint by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// How it was hashed.
    pub digest: Digest,
    form: Form,
}

impl Given {
    /// Reads it: colons, case and a leading `sha256:` do not matter.
    ///
    /// # Errors
    ///
    /// Says what keeps the text from being one.
    pub fn parse(text: &str) -> Result<Self, GivenError> {
        let text = text.trim().to_ascii_lowercase();
        let prefixed = Digest::ALL
            .iter()
            .find_map(|digest| text.strip_prefix(digest.hash_type())?.strip_prefix(':'));
        let digits: String = prefixed
            .unwrap_or(&text)
            .chars()
            .filter(|c| *c != ':')
            .collect();
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(GivenError::NotHex);
        }
        let is_as_long = |digest: &Digest| digest.digits() == digits.len();
        match Digest::ALL.into_iter().find(is_as_long) {
            Some(digest) => Ok(Self { digits, digest }),
            None => Err(GivenError::Length(digits.len())),
        }
    }

    /// Which digest it is, by its length.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether this is the name of a key whose text is not known.
    #[must_use]
    pub fn is_name_of(&self, key: KeyHash) -> Option<Name> {
        (self.digits == key.to_string()).then_some(Name {
            digest: Digest::Sha256,
            form: Form::Text,
        })
    }

    /// Which fingerprint of `key` this is.
    #[must_use]
    pub fn matches(&self, key: &PublicKey) -> Option<Name> {
        let digest = self.digest;
        let is_this = |form: &Form| {
            form.bytes(key)
                .and_then(|bytes| hash(digest.of_openssl(), &bytes).ok())
                .is_some_and(|found| hex::encode(found) == self.digits)
        };
        let form = Form::ALL.into_iter().find(is_this)?;
        Some(Name { digest, form })
    }
}

impl Digest {
    const ALL: [Self; 6] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// Whether two keys with the same one can be made.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        match self {
            Self::Md5 | Self::Sha1 => true,
            Self::Sha224 | Self::Sha256 | Self::Sha384 | Self::Sha512 => false,
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha224 => 56,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// As Salt's configuration names it.
    const fn hash_type(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn of_openssl(self) -> MessageDigest {
        match self {
            Self::Md5 => MessageDigest::md5(),
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

impl Form {
    const ALL: [Self; 4] = [Self::Text, Self::Body, Self::File, Self::Der];

    fn bytes(self, key: &PublicKey) -> Option<Vec<u8>> {
        Some(match self {
            // Salt 3008.5, salt/utils/crypt.py, pem_finger: every line that is kept has its LF.
            Self::Body => {
                let lines = key.canonical().lines();
                let body = lines.filter(|line| !line.contains("-----"));
                body.map(|line| format!("{line}\n"))
                    .collect::<String>()
                    .into_bytes()
            }
            Self::Der => key.to_der().ok()?,
            Self::File => key.to_file().into_bytes(),
            Self::Text => key.canonical().as_bytes().to_vec(),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest;
        match (self.form, digest) {
            (Form::Text, Digest::Sha256) => f.write_str("the key's SHA-256"),
            (Form::Body, Digest::Sha256) => f.write_str("Salt's fingerprint"),
            (Form::File, Digest::Sha256) => {
                f.write_str("the fingerprint of the whole file, as salt-key of 3008 shows it")
            }
            (Form::Der, Digest::Sha256) => f.write_str("the SPKI fingerprint"),
            (Form::Body, _) => {
                let hash_type = digest.hash_type();
                write!(f, "Salt's fingerprint with hash_type: {hash_type}")
            }
            (Form::Der, _) => write!(f, "the SPKI's {digest}"),
            (Form::File, _) => write!(
                f,
                "the {digest} of the whole file, which salt-key of 3008 shows with hash_type: {}",
                digest.hash_type()
            ),
            (Form::Text, _) => write!(f, "the {digest} of the file without its last newline"),
        }
    }
}

#[cfg(test)]
mod tests {
    use minion::verify::Fingerprint;
    use openssl::rsa::Rsa;
    use sha2::{Sha256, Sha512};

    use super::*;

    fn key() -> PublicKey {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap()
    }

    fn named(text: &str, key: &PublicKey) -> Option<String> {
        let name = Given::parse(text).unwrap().matches(key);
        name.map(|name| name.to_string())
    }

    #[test]
    fn every_form_is_recognised_and_named() {
        use sha2::Digest as _;
        let key = key();
        let salt = Fingerprint::salt(&key).to_string();
        assert_eq!(
            named(&key.hash().to_string(), &key).as_deref(),
            Some("the key's SHA-256")
        );
        for given in [salt.clone(), salt.to_uppercase(), salt.replace(':', "")] {
            assert_eq!(named(&given, &key).as_deref(), Some("Salt's fingerprint"));
        }
        let file = hex::encode(Sha256::digest(key.to_file()));
        assert!(
            named(&format!("sha256:{file}"), &key)
                .unwrap()
                .contains("3008")
        );
        let der = hex::encode(Sha256::digest(key.to_der().unwrap()));
        assert_eq!(named(&der, &key).as_deref(), Some("the SPKI fingerprint"));
        let long = hex::encode(Sha512::digest(key.to_file()));
        assert!(
            named(&long, &key)
                .unwrap()
                .starts_with("the SHA-512 of the whole file")
        );
    }

    /// `salt.utils.crypt.pem_finger(FILE, sum_type=…)` of 3006.30, `md5sum` and `sha1sum` for its
    /// `master.pub`, and of what `openssl rsa -outform DER` makes of it.
    #[test]
    fn the_fingerprints_of_every_hash_type_are_those_that_salt_shows() {
        let pem = include_str!("../../../../minion/tests/vectors/fingerprints/master.pub");
        let key = PublicKey::decode(pem.trim_end()).unwrap();
        for (given, name) in SHOWN {
            assert_eq!(named(given, &key).as_deref(), Some(*name), "{given}");
        }
    }

    #[test]
    fn what_two_keys_can_share_is_weak_and_the_rest_is_not() {
        let weak = |digits| Given::parse(&"a".repeat(digits)).unwrap().digest.is_weak();
        assert!(weak(32) && weak(40));
        assert!(!(weak(56) || weak(64) || weak(96) || weak(128)));
    }

    #[test]
    fn another_key_is_not_matched() {
        let (key, other) = (key(), key());
        assert_eq!(named(&other.hash().to_string(), &key), None);
    }

    #[test]
    fn a_part_of_one_and_what_is_none_are_refused() {
        assert_eq!(Given::parse(&"a".repeat(63)), Err(GivenError::Length(63)));
        assert_eq!(Given::parse("m1"), Err(GivenError::NotHex));
        assert_eq!(Given::parse(""), Err(GivenError::Length(0)));
        assert_eq!(Given::parse("sha3:aa"), Err(GivenError::NotHex));
    }

    const SHOWN: &[(&str, &str)] = &[
        (
            "8e:d8:d3:7f:2b:d2:56:08:e2:e1:68:9d:89:e4:bf:96",
            "Salt's fingerprint with hash_type: md5",
        ),
        (
            "MD5:8e:d8:d3:7f:2b:d2:56:08:e2:e1:68:9d:89:e4:bf:96",
            "Salt's fingerprint with hash_type: md5",
        ),
        (
            "96:65:83:0a:9a:b8:e6:69:05:c0:a5:c5:95:10:8e:ab:71:46:ed:23",
            "Salt's fingerprint with hash_type: sha1",
        ),
        (
            "8c:64:1f:02:b7:47:2d:98:6a:e0:22:b7:15:99:e2:87:46:33:66:ad:a8:20:49:76:a9:19:f2:bd",
            "Salt's fingerprint with hash_type: sha224",
        ),
        (
            "cc:eb:f1:55:09:ac:eb:8f:39:d0:9b:b5:53:da:67:42:ba:3b:ff:5b:3f:e2:cf:8a:82:ea:23:df:31:\
             2d:99:cb:51:9d:e9:8f:be:9e:4a:6f:3a:9c:93:f8:23:06:6e:69",
            "Salt's fingerprint with hash_type: sha384",
        ),
        (
            "90:f3:4f:12:66:af:ed:a2:9f:ef:7b:ef:35:b4:46:65:99:d7:11:53:46:c9:61:aa:af:9b:03:eb:e2:\
             fa:ad:2d:d2:9a:00:98:88:ef:47:82:af:3c:54:8c:e0:60:9f:3e:b1:c9:dc:66:52:4a:74:0a:1a:4d:\
             45:a0:dd:4e:16:ac",
            "Salt's fingerprint with hash_type: sha512",
        ),
        (
            "aab7a147374734517bcf4932f64efda9",
            "the MD5 of the whole file, which salt-key of 3008 shows with hash_type: md5",
        ),
        (
            "ede38348c421d33a01ad78083c156efb39e7c18c",
            "the SHA-1 of the whole file, which salt-key of 3008 shows with hash_type: sha1",
        ),
        (
            "223516367006ba3a2943ccb673c1f61f",
            "the MD5 of the file without its last newline",
        ),
        (
            "fe0ca1602d438ac6a302fd47c51c292390362455",
            "the SPKI's SHA-1",
        ),
    ];
}
