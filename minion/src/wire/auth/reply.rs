//! The load of a signed answer to `_auth`, as types.
//!
//! Reading it decides nothing: the fields of a forged answer are as well formed as those of a true
//! one.

use std::num::NonZeroU16;

use super::super::envelope::{Algorithms, EnvelopeError, check_algorithms, check_version};
use super::super::msgpack::{FieldError, Fields, Value};

/// What a master signed.
pub(super) enum Load {
    Accepted(Box<Accepted>),
    Answer { verdict: Verdict, nonce: Vec<u8> },
}

/// The master let the minion in (Salt 3008.5, `salt/master.py`, `AuthFuncs._auth`).
pub(super) struct Accepted {
    pub(super) pub_key: Vec<u8>,
    pub(super) pub_sig: Option<Vec<u8>>,
    pub(super) publish_port: NonZeroU16,
    pub(super) nonce: Vec<u8>,
    pub(super) keys: Keys,
}

/// What only the minion's private key opens, and the master's signature of one of it.
pub(super) struct Keys {
    pub(super) aes: Vec<u8>,
    pub(super) session: Vec<u8>,
    pub(super) token: Option<Vec<u8>>,
    pub(super) sig: Vec<u8>,
}

/// The master did not let the minion in.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Full,
    Pending,
    Rejected,
}

impl Load {
    pub(super) fn parse(load: &[u8], algorithms: Algorithms) -> Result<Self, EnvelopeError> {
        let mut fields = Fields::decode(load)?;
        check_version(&mut fields)?;
        check_algorithms(&mut fields, algorithms)?;
        if let Some(pub_key) = fields.optional_bytes("pub_key")? {
            let accepted = Accepted::parse(pub_key, &mut fields)?;
            return Ok(Self::Accepted(Box::new(accepted)));
        }
        let verdict = match fields.take("ret") {
            Some(Value::Bool(true)) => Verdict::Pending,
            Some(Value::Bool(false)) => Verdict::Rejected,
            Some(text) if text.as_text() == Some("full") => Verdict::Full,
            Some(_) => return Err(FieldError::Wrong("ret").into()),
            None => return Err(FieldError::Missing("ret").into()),
        };
        Ok(Self::Answer {
            verdict,
            nonce: fields.bytes("nonce")?,
        })
    }
}

impl Accepted {
    fn parse(pub_key: Vec<u8>, fields: &mut Fields) -> Result<Self, FieldError> {
        if fields.text("enc")? != "pub" {
            return Err(FieldError::Wrong("enc"));
        }
        let port = u16::try_from(fields.unsigned("publish_port")?).ok();
        Ok(Self {
            pub_key,
            pub_sig: fields.optional_bytes("pub_sig")?,
            publish_port: port
                .and_then(NonZeroU16::new)
                .ok_or(FieldError::Wrong("publish_port"))?,
            nonce: fields.bytes("nonce")?,
            keys: Keys {
                aes: fields.bytes("aes")?,
                session: fields.bytes("session")?,
                token: fields.optional_bytes("token")?,
                sig: fields.bytes("sig")?,
            },
        })
    }
}
