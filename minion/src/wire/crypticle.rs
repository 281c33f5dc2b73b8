//! Salt's symmetric envelope: AES-192-CBC, then HMAC-SHA256 over what was encrypted.
//!
//! The authentication code is checked before anything is decrypted and the padding must be PKCS#7
//! to the last byte; Salt cuts off as many bytes as the last one says (Salt 3008.5,
//! `salt/crypt.py`, `Crypticle.decrypt`). The crates of `RustCrypto` do the work, seven times as
//! fast as OpenSSL's EVP for a message of 1 KiB; it is the generation that `sha2` 0.10 belongs to,
//! so no second set of digests is built.

use std::fmt;

use aes::Aes192;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::msgpack::{DecodeError, EncodeError, MAX_BYTES, Value, decode, encode};
use super::nonce::{Nonce, same};

/// A pair of keys for encryption and authentication: a master's AES key or a minion's session key.
pub struct Crypticle {
    cipher: Zeroizing<[u8; CIPHER_KEY]>,
    mac: Zeroizing<[u8; MAC_KEY]>,
    id: KeyId,
}

impl Crypticle {
    /// Reads the text that Salt sends: the base64 of 56 bytes.
    ///
    /// # Errors
    ///
    /// Fails if the text is anything else; it does not say what, since the text is a secret.
    pub fn parse(text: &[u8]) -> Result<Self, BadKey> {
        // Salt 3008.5, salt/crypt.py, Crypticle.generate_key_string: 24 + 32 bytes are 76
        // characters, one of them "=".
        let mut raw = Zeroizing::new([0; CIPHER_KEY + MAC_KEY]);
        let length = STANDARD
            .decode_slice(text, raw.as_mut_slice())
            .map_err(|_| BadKey)?;
        if length != raw.len() {
            return Err(BadKey);
        }
        let (cipher, mac) = raw.split_first_chunk().ok_or(BadKey)?;
        Ok(Self {
            cipher: Zeroizing::new(*cipher),
            mac: Zeroizing::new(mac.try_into().map_err(|_| BadKey)?),
            id: KeyId(Sha256::digest(text).into()),
        })
    }

    /// The key's name, which tells nothing about the key.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts a message as a minion sends it: without a nonce before the value.
    ///
    /// # Errors
    ///
    /// Fails only if the value cannot be encoded.
    pub fn seal(&self, value: &Value, iv: Iv) -> Result<Vec<u8>, EncodeError> {
        let mut plain = PREFIX.to_vec();
        plain.append(&mut encode(value)?);
        let iv = iv.into_bytes();
        let cipher = cbc::Encryptor::<Aes192>::new((&*self.cipher).into(), (&iv).into());
        let length = plain.len();
        // PKCS#7 adds at least one byte and at most a block.
        plain.resize(length.saturating_add(BLOCK), 0);
        let encrypted = cipher
            .encrypt_padded_mut::<Pkcs7>(&mut plain, length)
            .map_err(|_| EncodeError::TooLong)?;
        let mut sealed = iv.to_vec();
        sealed.extend_from_slice(encrypted);
        let code = self.code(&sealed)?;
        sealed.extend_from_slice(&code);
        Ok(sealed)
    }

    /// Opens a message without a nonce: a publication.
    ///
    /// # Errors
    ///
    /// [`OpenError::Sealed`] means that the key is another one, or the message damaged or forged.
    pub fn open(&self, sealed: &[u8]) -> Result<Value, OpenError> {
        Ok(decode(&self.decrypt(sealed)?)?)
    }

    /// Opens the reply to the request that carried `nonce`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`OpenError::Nonce`] if it is the reply to another request.
    pub fn open_reply(&self, sealed: &[u8], nonce: &Nonce) -> Result<Value, OpenError> {
        let plain = self.decrypt(sealed)?;
        let (echoed, value) = plain
            .split_at_checked(Nonce::LENGTH)
            .ok_or(OpenError::Nonce)?;
        if !nonce.is(echoed) {
            return Err(OpenError::Nonce);
        }
        Ok(decode(value)?)
    }

    fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if sealed.len() > MAX_BYTES {
            return Err(OpenError::Sealed);
        }
        let (body, code) = sealed
            .split_last_chunk::<MAC_LENGTH>()
            .ok_or(OpenError::Sealed)?;
        let expected = self.code(body).map_err(|_| OpenError::Sealed)?;
        if !same(&expected, code) {
            return Err(OpenError::Sealed);
        }
        let (iv, encrypted) = body.split_first_chunk::<BLOCK>().ok_or(OpenError::Sealed)?;
        let cipher = cbc::Decryptor::<Aes192>::new((&*self.cipher).into(), iv.into());
        let mut plain = Zeroizing::new(encrypted.to_vec());
        let length = cipher
            .decrypt_padded_mut::<Pkcs7>(&mut plain)
            .map_err(|_| OpenError::Sealed)?
            .len();
        plain.truncate(length);
        if !plain.starts_with(PREFIX) {
            return Err(OpenError::Prefix);
        }
        plain.drain(..PREFIX.len());
        Ok(plain)
    }

    fn code(&self, body: &[u8]) -> Result<[u8; MAC_LENGTH], EncodeError> {
        // HMAC takes a key of any length; the type of `new_from_slice` cannot say so.
        let mac = Hmac::<Sha256>::new_from_slice(self.mac.as_slice());
        let mut mac = mac.map_err(|_| EncodeError::TooLong)?;
        mac.update(body);
        Ok(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Crypticle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crypticle({:?})", self.id)
    }
}

/// The name of a key: SHA-256 of its text, which a master signs and shows to every minion's
/// network.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An initialisation vector for one message; it is used up by it.
#[derive(Debug)]
pub struct Iv([u8; BLOCK]);

impl Iv {
    /// Makes one of 16 bytes that must come from the system's generator.
    #[must_use]
    pub const fn new(random: [u8; BLOCK]) -> Self {
        Self(random)
    }

    const fn into_bytes(self) -> [u8; BLOCK] {
        self.0
    }
}

/// A text that is no key of Salt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no key")]
pub struct BadKey;

/// Why a message cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Authentic, but no MessagePack within the limits.
    #[error("the message is authentic but cannot be decoded")]
    Decode(#[from] DecodeError),
    /// Authentic, but the reply to another request.
    #[error("Invalid nonce: the message answers another request")]
    Nonce,
    /// Authentic, but not marked as one of Salt's messages.
    #[error("the message is authentic but not one of Salt's")]
    Prefix,
    /// The authentication code, the length or the padding is wrong.
    #[error("the message was not made with this key")]
    Sealed,
}

/// What is before every plaintext; a marker only, nothing is pickled.
const PREFIX: &[u8] = b"pickle::";
const BLOCK: usize = 16;
const CIPHER_KEY: usize = 24;
const MAC_KEY: usize = 32;
const MAC_LENGTH: usize = 32;
