//! Salt's symmetric envelope as a master makes it, and every wrong one that an attacker with the
//! key could make.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::wire::msgpack::{Value, encode};
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use openssl::symm::{Cipher, Crypter, Mode};

/// An AES key for publications or a session key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    text: String,
    raw: Vec<u8>,
}

impl SharedKey {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        Self::parse(&STANDARD.encode(random::<56>()))
    }

    /// Reads the text of one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let raw = STANDARD.decode(text).unwrap();
        assert_eq!(raw.len(), 56);
        Self {
            text: text.to_owned(),
            raw,
        }
    }

    /// The text that is encrypted for a minion.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Seals a value; a reply to a request has the request's nonce before it.
    #[must_use]
    pub fn seal(&self, nonce: &str, value: &Value) -> Vec<u8> {
        self.seal_with(random(), nonce, value)
    }

    /// The same with a given initialisation vector, to make a recorded message again.
    #[must_use]
    pub fn seal_with(&self, iv: [u8; 16], nonce: &str, value: &Value) -> Vec<u8> {
        let mut blocks = [PREFIX, nonce.as_bytes(), &encode(value).unwrap()].concat();
        let missing = 16 - blocks.len() % 16;
        blocks.resize(blocks.len() + missing, u8::try_from(missing).unwrap());
        self.seal_blocks(iv, &blocks)
    }

    /// Encrypts whole blocks as they are, padding included, and authenticates the result.
    #[must_use]
    pub fn seal_blocks(&self, iv: [u8; 16], blocks: &[u8]) -> Vec<u8> {
        let body = [&iv[..], &self.cbc(Mode::Encrypt, &iv, blocks).unwrap()].concat();
        self.authenticate(&body)
    }

    /// Appends the authentication code to anything.
    #[must_use]
    pub fn authenticate(&self, body: &[u8]) -> Vec<u8> {
        [body, &self.code(body)].concat()
    }

    /// The plain text behind the marker, as Salt would read it: code first, then the padding that
    /// the last byte names.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (body, code) = sealed.split_at_checked(sealed.len().checked_sub(32)?)?;
        let expected = self.code(body);
        if !memcmp::eq(&expected, code) {
            return None;
        }
        let (iv, blocks) = body.split_first_chunk::<16>()?;
        let plain = self.cbc(Mode::Decrypt, iv, blocks)?;
        let padding = usize::from(*plain.last()?);
        let plain = plain.get(..plain.len().checked_sub(padding)?)?;
        plain.strip_prefix(PREFIX).map(<[u8]>::to_vec)
    }

    fn code(&self, body: &[u8]) -> Vec<u8> {
        let key = PKey::hmac(&self.raw[24..]).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        signer.sign_oneshot_to_vec(body).unwrap()
    }

    fn cbc(&self, mode: Mode, iv: &[u8; 16], input: &[u8]) -> Option<Vec<u8>> {
        let mut crypter =
            Crypter::new(Cipher::aes_192_cbc(), mode, &self.raw[..24], Some(iv)).ok()?;
        crypter.pad(false);
        let mut output = vec![0; input.len() + 16];
        let mut length = crypter.update(input, &mut output).ok()?;
        length += crypter.finalize(&mut output[length..]).ok()?;
        output.truncate(length);
        Some(output)
    }
}

/// Bytes from OpenSSL's generator.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes).unwrap();
    bytes
}

const PREFIX: &[u8] = b"pickle::";
