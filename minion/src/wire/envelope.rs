//! The map around every message: how its load is protected, and by which version of the protocol.
//!
//! We write version 3 and nothing else, and there is no retry with a lower one: before it, a
//! request could be made without the token and the session key (CVE-2025-62349).

use std::fmt;

use super::id::MinionId;
use super::msgpack::{EncodeError, FieldError, Fields, Value, decode, encode};
use super::private_key::Encryption;
use crate::verify::{Algorithm, Signature};

/// The two algorithms that the minion is configured with; no message changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// `signing_algorithm`.
    pub signing: Algorithm,
    /// `encryption_algorithm`.
    pub encryption: Encryption,
}

/// Wraps a load that travels in clear (Salt 3008.5, `salt/channel/client.py`,
/// `AsyncReqChannel._package_load`).
pub(super) fn clear(load: Value) -> Result<Vec<u8>, EncodeError> {
    let version = Value::from(VERSION);
    encode(&Value::map([
        ("enc", "clear".into()),
        ("load", load),
        ("version", version),
    ]))
}

/// Wraps a load that the session key sealed; the id outside must be the one inside.
pub(super) fn sealed(
    load: Vec<u8>,
    id: &MinionId,
    algorithms: Algorithms,
) -> Result<Vec<u8>, EncodeError> {
    encode(&Value::map([
        ("enc", "aes".into()),
        ("load", load.into()),
        ("version", VERSION.into()),
        ("id", id.as_str().into()),
        ("enc_algo", algorithms.encryption.name().into()),
        ("sig_algo", algorithms.signing.name().into()),
    ]))
}

/// What a master answers to `_auth`, before anything of it is believed.
pub(super) enum AuthReply {
    /// A load with a signature over its bytes.
    Signed { load: Vec<u8>, signature: Signature },
    /// Something that anybody could have sent.
    Hint(Hint),
}

impl AuthReply {
    pub(super) fn parse(reply: &[u8], algorithms: Algorithms) -> Result<Self, EnvelopeError> {
        let value = decode(reply).map_err(FieldError::from)?;
        if let Value::Raw(text) = value {
            return Ok(Self::Hint(Hint::from_text(&text)));
        }
        let mut outer = Fields::new(value)?;
        check_version(&mut outer)?;
        check_algorithms(&mut outer, algorithms)?;
        let Some(load) = outer.take("load") else {
            return Ok(Self::Hint(Hint::Unknown));
        };
        let Some(raw) = load.as_bytes() else {
            // Salt 3008.5, salt/master.py, AuthFuncs: the refusals of an algorithm are maps,
            // unsigned.
            return Ok(Self::Hint(Hint::from_map(load)?));
        };
        let load = raw.to_vec();
        if outer.text("enc")? != "clear" {
            return Err(FieldError::Wrong("enc").into());
        }
        let signature = outer
            .optional_bytes("sig")?
            .ok_or(EnvelopeError::Unsigned)?;
        Ok(Self::Signed {
            load,
            signature: Signature::new(signature),
        })
    }
}

/// Refuses a message that says it is of another version.
pub(super) fn check_version(fields: &mut Fields) -> Result<(), EnvelopeError> {
    match fields.take("version") {
        None => Ok(()),
        Some(version) if version == VERSION.into() => Ok(()),
        Some(_) => Err(EnvelopeError::Version),
    }
}

/// Refuses a message that names an algorithm other than the configured ones; a name is never
/// followed.
pub(super) fn check_algorithms(
    fields: &mut Fields,
    algorithms: Algorithms,
) -> Result<(), EnvelopeError> {
    let configured = [
        ("sig_algo", algorithms.signing.name()),
        ("enc_algo", algorithms.encryption.name()),
    ];
    for (field, name) in configured {
        if fields.take(field).is_some_and(|named| named != name.into()) {
            return Err(EnvelopeError::Algorithm { field });
        }
    }
    Ok(())
}

/// What an unsigned answer says. It is shown to an operator; nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// `bad enc algo`: the master does not know our `encryption_algorithm`.
    BadEncryption,
    /// `bad load`: the master could not read the request, or does not speak version 3.
    BadLoad,
    /// `bad sig algo`: the master does not know our `signing_algorithm`.
    BadSigning,
    /// Another text, cut to 80 characters.
    Text(String),
    /// Nothing that Salt sends.
    Unknown,
}

impl Hint {
    fn from_text(text: &[u8]) -> Self {
        match text {
            b"bad load" => Self::BadLoad,
            other => {
                let text = String::from_utf8_lossy(other);
                Self::Text(text.chars().take(80).collect())
            }
        }
    }

    fn from_map(load: Value) -> Result<Self, FieldError> {
        let answer = Fields::new(load)?.take("ret");
        Ok(match answer.as_ref().and_then(Value::as_text) {
            Some("bad enc algo") => Self::BadEncryption,
            Some("bad sig algo") => Self::BadSigning,
            Some(other) => Self::from_text(other.as_bytes()),
            None => Self::Unknown,
        })
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Salt 3008.5, salt/crypt.py, handle_signin_response.
            Self::BadEncryption => f.write_str(
                "This minion is using a encryption algorithm that is not supported by it's Master",
            ),
            Self::BadSigning => f.write_str(
                "This minion is using a signing algorithm that is not supported by it's Master",
            ),
            Self::BadLoad => f.write_str("Sign-in attempt failed: bad load"),
            Self::Text(text) => write!(f, "Sign-in attempt failed: {text:?}"),
            Self::Unknown => f.write_str("Sign-in attempt failed: the answer is not one of Salt's"),
        }
    }
}

/// Why an answer is not even looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The message names an algorithm that is not the configured one.
    #[error("the message names another {field} than this minion is configured with")]
    Algorithm {
        /// The field that names it.
        field: &'static str,
    },
    /// A field is missing or of the wrong type.
    #[error("the message has the wrong shape")]
    Shape(#[from] FieldError),
    /// There is a load but no signature.
    #[error("the message is not signed")]
    Unsigned,
    /// A version other than 3.
    #[error("the message is not of version 3")]
    Version,
}

/// The one version that is spoken (Salt 3008.5, `minimum_auth_version`).
const VERSION: u64 = 3;
