//! A public key in the one form that is ever signed.
//!
//! Salt signs the *text* of `master.pub` after `clean_key`, not the key in it, so two spellings of
//! one key have two signatures. Parsing therefore ends with encoding the key again and comparing: a
//! text that is not byte for byte what we would write is refused rather than repaired, because the
//! master will go on showing its own spelling.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::Public;
use openssl::rsa::Rsa;
use sha2::{Digest, Sha256};

/// An RSA public key whose PEM text is canonical: `SubjectPublicKeyInfo`, 64 columns, LF, no final
/// newline.
#[derive(Clone)]
pub struct PublicKey {
    canonical: String,
    hash: KeyHash,
    rsa: Rsa<Public>,
}

impl PublicKey {
    /// Parses a PEM text that must already be canonical, with or without one final LF.
    ///
    /// # Errors
    ///
    /// Says what the text is instead: another kind of PEM, another kind of key, or another spelling
    /// of this one. None of them is worth a retry with the same bytes.
    pub fn parse(input: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(input).map_err(|_| KeyError::NotText)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let key = Self::decode(text)?;
        if key.canonical == text {
            return Ok(key);
        }
        let at = key
            .canonical
            .bytes()
            .zip(text.bytes())
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        Err(KeyError::NotCanonical { offset: at })
    }

    /// Parses any PEM spelling of an RSA public key; [`canonical`](Self::canonical) is then how it
    /// should be spelled.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), except that the spelling does not matter.
    pub fn decode(text: &str) -> Result<Self, KeyError> {
        // OpenSSL does not find a block behind a blank, and a blank is no reason to call the key
        // none.
        let text = text.trim();
        let label = single_label(text)?;
        let rsa = match label {
            "PUBLIC KEY" => Rsa::public_key_from_pem(text.as_bytes()),
            "RSA PUBLIC KEY" => Rsa::public_key_from_pem_pkcs1(text.as_bytes()),
            "CERTIFICATE" => return Err(KeyError::Certificate),
            private if private.ends_with("PRIVATE KEY") => return Err(KeyError::PrivateKey),
            other => {
                // It is a stranger's, and goes to the log.
                return Err(KeyError::OtherPem {
                    label: other.chars().take(LABEL).collect(),
                });
            }
        };
        Self::from_rsa(rsa.map_err(|_| KeyError::NotRsa)?)
    }

    /// Builds the key from its modulus and public exponent, both big-endian.
    ///
    /// # Errors
    ///
    /// Fails if the numbers are not an RSA public key.
    pub fn from_components(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let number = |bytes| openssl::bn::BigNum::from_slice(bytes).map_err(|_| KeyError::NotRsa);
        let rsa = Rsa::from_public_components(number(modulus)?, number(exponent)?);
        Self::from_rsa(rsa.map_err(|_| KeyError::NotRsa)?)
    }

    fn from_rsa(rsa: Rsa<Public>) -> Result<Self, KeyError> {
        let pem = rsa.public_key_to_pem().map_err(|_| KeyError::NotRsa)?;
        let pem = String::from_utf8(pem).map_err(|_| KeyError::NotRsa)?;
        let canonical = pem.trim_end_matches('\n').to_owned();
        let hash = KeyHash(Sha256::digest(canonical.as_bytes()).into());
        Ok(Self {
            canonical,
            hash,
            rsa,
        })
    }

    /// The text that is signed and that goes on the wire: no final newline.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The text as a file holds it: the canonical form and one LF.
    #[must_use]
    pub fn to_file(&self) -> String {
        format!("{}\n", self.canonical)
    }

    /// SHA-256 over the canonical text; this is the key's name in the API.
    #[must_use]
    pub const fn hash(&self) -> KeyHash {
        self.hash
    }

    /// The size of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.rsa.n().num_bits().unsigned_abs()
    }

    /// The modulus, big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        self.rsa.n().to_vec()
    }

    /// The public exponent, big-endian, without leading zeros.
    #[must_use]
    pub fn exponent(&self) -> Vec<u8> {
        self.rsa.e().to_vec()
    }

    /// The DER encoding of the `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// Fails if the canonical text is none, which it always is.
    pub fn to_der(&self) -> Result<Vec<u8>, KeyError> {
        // Taken out of the text, which is 40 times as fast as having it encoded anew.
        let dense: Vec<u8> = self
            .canonical
            .lines()
            .filter(|line| !line.starts_with(DASHES))
            .flat_map(str::bytes)
            .collect();
        STANDARD.decode(dense).map_err(|_| KeyError::NotRsa)
    }

    pub(crate) const fn rsa(&self) -> &Rsa<Public> {
        &self.rsa
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("hash", &self.hash)
            .field("bits", &self.bits())
            .finish()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for PublicKey {}

/// SHA-256 over a key's canonical text: lower-case hex of 64 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Wraps 32 bytes that are already such a hash.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The crate reads capitals as well, and a name has one spelling.
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let mut bytes = [0; 32];
        let decoded = hex::decode_to_slice(text, &mut bytes);
        (is_lower && decoded.is_ok())
            .then_some(Self(bytes))
            .ok_or(KeyHashError)
    }
}

/// A text that is no [`KeyHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key hash is 64 lower-case hexadecimal digits: SHA-256 over the canonical PEM text without \
     final newline"
)]
pub struct KeyHashError;

/// Why a text is not a canonical RSA public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The sender gave a certificate; the key inside it has to be extracted first.
    #[error(
        "this is a certificate, not a public key; `openssl x509 -pubkey -noout` extracts the key"
    )]
    Certificate,
    /// More than one PEM block, or text beside the block.
    #[error("there must be exactly one PEM block and nothing before or after it")]
    NotAlone,
    /// The key is fine, its spelling is not.
    #[error(
        "the PEM text is not in canonical form (first difference at byte {offset}): \
         SubjectPublicKeyInfo, 64 columns, LF line ends, nothing before or after; `openssl rsa \
         -pubin -in F -out F.new` writes it"
    )]
    NotCanonical {
        /// Where the text departs from the canonical one, counted in bytes from its start.
        offset: usize,
    },
    /// No PEM block at all.
    #[error("there is no PEM block; a master's public key begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// A PEM block that does not hold an RSA public key.
    #[error("the PEM block does not hold an RSA public key")]
    NotRsa,
    /// Bytes that are no UTF-8.
    #[error("the key is not text")]
    NotText,
    /// A PEM block of another kind.
    #[error("a PEM block of type {label:?} is not a public key")]
    OtherPem {
        /// The type between BEGIN and the dashes, cut to 64 characters.
        label: String,
    },
    /// The sender gave a private key, which nobody should have sent.
    #[error("this is a private key; send the public half, and consider this private key exposed")]
    PrivateKey,
}

/// Salt's `clean_key`: strips white space at both ends and joins the lines by LF.
///
/// Salt 3008.5, `salt/crypt.py`, `clean_key`: `"\n".join(key.strip().splitlines())`. Python splits
/// lines at more characters than Rust does, and a parser that disagrees about lines disagrees about
/// what was signed.
#[must_use]
pub fn clean_key(text: &str) -> String {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'));
    let mut cleaned = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' => {
                characters.next_if_eq(&'\n');
                cleaned.push('\n');
            }
            '\n' | '\u{b}' | '\u{c}' | '\u{1c}' | '\u{1d}' | '\u{1e}' | '\u{85}' | '\u{2028}'
            | '\u{2029}' => {
                cleaned.push('\n');
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// The type of the only PEM block in `text`.
fn single_label(text: &str) -> Result<&str, KeyError> {
    let Some((before, rest)) = text.split_once(BEGIN) else {
        return Err(KeyError::NotPem);
    };
    let Some((label, body)) = rest.split_once(DASHES) else {
        return Err(KeyError::NotPem);
    };
    let Some((_, after)) = body.split_once(END) else {
        return Err(KeyError::NotPem);
    };
    let Some(after) = after
        .strip_prefix(label)
        .and_then(|rest| rest.strip_prefix(DASHES))
    else {
        return Err(KeyError::NotPem);
    };
    if !before.trim().is_empty() || !after.trim().is_empty() {
        return Err(KeyError::NotAlone);
    }
    Ok(label)
}

/// The longest type that OpenSSL writes has 26 characters.
const LABEL: usize = 64;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const END: &str = "-----END ";
