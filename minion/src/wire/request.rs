//! Requests after the sign-in, and their replies.
//!
//! A reply that does not authenticate is either forged or means that the master has forgotten the
//! session; the wire does not tell which, and the answer to both is to sign in again. So there is
//! no variant for "session expired".

mod command;

pub use command::{Command, Return};

use super::auth::Identity;
use super::crypticle::{Crypticle, Iv, OpenError};
use super::envelope::{self, Algorithms};
use super::id::MinionId;
use super::msgpack::{DecodeError, EncodeError, Value, decode, encode};
use super::nonce::Nonce;

/// The requests of one minion to the master of one session.
#[derive(Debug)]
pub struct Requests {
    session: Crypticle,
    id: MinionId,
    token: Vec<u8>,
    algorithms: Algorithms,
}

impl Requests {
    /// Binds the session key of a handshake to the minion that made it.
    #[must_use]
    pub fn new(session: Crypticle, identity: &Identity<'_>) -> Self {
        Self {
            session,
            id: identity.id.clone(),
            token: identity.key.token().to_vec(),
            algorithms: identity.algorithms,
        }
    }

    /// Makes a request; `now` is the time in seconds since 1970, which a master with
    /// `request_server_ttl` checks.
    ///
    /// # Errors
    ///
    /// Fails only if the command holds a value that cannot be encoded.
    pub fn seal(
        &self,
        command: &Command,
        nonce: &Nonce,
        now: u64,
        iv: Iv,
    ) -> Result<Vec<u8>, EncodeError> {
        // Salt 3008.5, salt/channel/client.py, AsyncReqChannel._package_load: these follow the
        // command's own fields, and `id` stays where the command had it.
        let mut load = command.fields(&self.id);
        load.push(("nonce", nonce.as_str().into()));
        load.push(("ts", now.into()));
        load.push(("tok", self.token.as_slice().into()));
        if load.iter().all(|(name, _)| *name != "id") {
            load.push(("id", self.id.as_str().into()));
        }
        let load = load
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        let sealed = self.session.seal(&Value::Map(load), iv)?;
        envelope::sealed(sealed, &self.id, self.algorithms)
    }

    /// Opens the reply to the request that `nonce` was made for, which is used up by it.
    ///
    /// # Errors
    ///
    /// After [`ReplyError::is_worth_a_sign_in`] the request may be made once more in a new session.
    pub fn open(&self, reply: &[u8], nonce: Nonce) -> Result<Value, ReplyError> {
        let Value::Raw(sealed) = decode(reply)? else {
            return Err(ReplyError::NotSealed);
        };
        if sealed == b"bad load" {
            return Err(ReplyError::BadLoad);
        }
        let value = self.session.open_reply(&sealed, &nonce);
        drop(nonce);
        value.map_err(ReplyError::Open)
    }
}

/// Salt's clear `ping`: it tells that a worker is alive, and nothing about whose.
///
/// # Errors
///
/// Cannot fail; the codec's signature does not know.
pub fn ping() -> Result<Vec<u8>, EncodeError> {
    envelope::clear(ping_load())
}

/// Whether the reply to [`ping`] is the load that was sent. Anybody can send it.
#[must_use]
pub fn is_pong(reply: &[u8]) -> bool {
    encode(&ping_load()).is_ok_and(|expected| expected == reply)
}

fn ping_load() -> Value {
    Value::map([("cmd", "ping".into())])
}

/// Why a reply says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The master could not use the request, and says so unsigned.
    #[error("the master answered bad load")]
    BadLoad,
    /// No MessagePack within the limits.
    #[error("the reply cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A reply in clear.
    #[error("the reply is not sealed")]
    NotSealed,
    /// Sealed, but not for this request.
    #[error("the reply cannot be opened")]
    Open(#[source] OpenError),
}

impl ReplyError {
    /// Whether a new session may help (Salt 3008.5, `salt/channel/client.py`, `_crypted_transfer`:
    /// once).
    #[must_use]
    pub const fn is_worth_a_sign_in(self) -> bool {
        match self {
            Self::BadLoad | Self::NotSealed | Self::Open(OpenError::Sealed) => true,
            Self::Decode(_)
            | Self::Open(OpenError::Decode(_) | OpenError::Nonce | OpenError::Prefix) => false,
        }
    }
}
