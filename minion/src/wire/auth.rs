//! Signing in: the `_auth` request, and what is made of every answer to it.
//!
//! A [`Handshake`] is one attempt. It holds the nonce that it sent and
//! [`finish`](Handshake::finish) consumes it, so an answer is checked against the request that it
//! answers or not at all, and a second answer finds nobody.

mod check;
mod refusal;
mod reply;

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

pub use check::Session;
pub use refusal::{Proof, Refusal};

use super::envelope::{Algorithms, clear};
use super::id::MinionId;
use super::msgpack::{EncodeError, Value};
use super::nonce::Nonce;
use super::private_key::{PrivateKey, PrivateOperation};
use crate::verify::{Fingerprint, KeyHash, PublicKey};

/// Who signs in.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The minion's id.
    pub id: &'a MinionId,
    /// The minion's key.
    pub key: &'a PrivateKey,
    /// The process's secret for known masters.
    pub token: &'a Token,
    /// The configured algorithms.
    pub algorithms: Algorithms,
    /// A map of grains for `autosign_grains`, if that is configured.
    pub autosign_grains: Option<&'a Value>,
}

/// Whom the minion trusts at the moment of the attempt.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The signing keys whose time it is; more than one while they rotate.
    pub signing_keys: &'a [PublicKey],
    /// Keys of masters that are not to be trusted although they were signed.
    pub revoked: &'a BTreeSet<KeyHash>,
    /// `master_finger`, if that is configured.
    pub finger: Option<Fingerprint>,
    /// The key that this master showed at the last complete handshake.
    pub known: Option<&'a PublicKey>,
}

/// One attempt to sign in to one master.
#[derive(Debug)]
pub struct Handshake<'a> {
    identity: Identity<'a>,
    trust: Trust<'a>,
    nonce: Nonce,
}

impl<'a> Handshake<'a> {
    /// Begins an attempt and makes its request.
    ///
    /// The token goes to a known master only, since to any other there is no key to encrypt it
    /// with.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL does, or if `autosign_grains` cannot be encoded.
    pub fn begin(
        identity: Identity<'a>,
        trust: Trust<'a>,
        nonce: Nonce,
    ) -> Result<(Self, Vec<u8>), BeginError> {
        // Salt 3008.5, salt/crypt.py, AsyncAuth.minion_sign_in_payload: these fields in this order.
        let mut load = vec![
            ("cmd".into(), "_auth".into()),
            ("id".into(), identity.id.as_str().into()),
            ("nonce".into(), nonce.as_str().into()),
            (
                "enc_algo".into(),
                identity.algorithms.encryption.name().into(),
            ),
            ("sig_algo".into(), identity.algorithms.signing.name().into()),
        ];
        if let Some(grains) = identity.autosign_grains {
            load.push(("autosign_grains".into(), grains.clone()));
        }
        if let Some(master) = trust.known {
            let token = master.encrypt(identity.algorithms.encryption, &identity.token.0)?;
            load.push(("token".into(), token.into()));
        }
        load.push(("pub".into(), identity.key.public().canonical().into()));
        let request = clear(Value::Map(load))?;
        Ok((
            Self {
                identity,
                trust,
                nonce,
            },
            request,
        ))
    }
}

/// A secret of the process that a known master must be able to read and give back.
pub struct Token(Zeroizing<Vec<u8>>);

impl Token {
    /// Makes one of 56 bytes that must come from the system's generator, once per process.
    ///
    /// Salt 3008.5, `salt/crypt.py`, `AsyncAuth.__singleton_init__`: the text has the form of a
    /// key.
    #[must_use]
    pub fn new(random: &[u8; 56]) -> Self {
        Self(Zeroizing::new(STANDARD.encode(random).into_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why no request could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// A value cannot be written.
    #[error("the request cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The token could not be encrypted.
    #[error("the token cannot be encrypted for the master")]
    Encrypt(#[from] PrivateOperation),
}
