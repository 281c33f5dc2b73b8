//! A request as bytes.
//!
//! Not JSON, as the answer is: its parser copies what it unescapes into buffers that nobody wipes,
//! and a PIN is in here. So it is a byte for the kind, and each field with its length before it.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Request;

/// Bytes that are no request, or a request that does not fit into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no request to the service, or one with a field that is too long")]
pub struct Malformed;

impl Request {
    /// Writes a request.
    ///
    /// # Errors
    ///
    /// Fails if a field is too long.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        // It never grows, so no copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST));
        match self {
            Self::Unlatch { serial } => {
                bytes.push(UNLATCH);
                field(&mut bytes, serial.as_deref().unwrap_or_default())?;
            }
            Self::Unlock { hsm, pin, force } => {
                bytes.push(if *force { UNLOCK_BY_FORCE } else { UNLOCK });
                field(&mut bytes, hsm.as_deref().unwrap_or_default())?;
                field(&mut bytes, pin.expose_secret())?;
            }
        }
        Ok(bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let (kind, mut rest) = bytes.split_first().ok_or(Malformed)?;
        let request = match *kind {
            UNLATCH => Self::Unlatch {
                serial: given(take(&mut rest)?),
            },
            kind @ (UNLOCK | UNLOCK_BY_FORCE) => {
                let hsm = given(take(&mut rest)?);
                let pin = take(&mut rest)?;
                if pin.is_empty() {
                    return Err(Malformed);
                }
                Self::Unlock {
                    hsm,
                    pin: SecretString::from(pin),
                    force: kind == UNLOCK_BY_FORCE,
                }
            }
            _ => return Err(Malformed),
        };
        if rest.is_empty() {
            Ok(request)
        } else {
            Err(Malformed)
        }
    }
}

fn field(bytes: &mut Vec<u8>, text: &str) -> Result<(), Malformed> {
    if text.len() > LONGEST_FIELD {
        return Err(Malformed);
    }
    let length = u16::try_from(text.len()).map_err(|_| Malformed)?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    let (length, after) = rest.split_first_chunk().ok_or(Malformed)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > LONGEST_FIELD {
        return Err(Malformed);
    }
    let (text, after) = after.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    std::str::from_utf8(text).map_err(|_| Malformed)
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

const UNLATCH: u8 = 1;
const UNLOCK: u8 = 2;
const UNLOCK_BY_FORCE: u8 = 3;
/// What a PIN source may hold at most.
const LONGEST_FIELD: usize = 1024;
/// The longest request.
pub(super) const MOST: usize = 1 + 2 * (2 + LONGEST_FIELD);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_a_part_of_it_is_none() {
        let unlock = Request::Unlock {
            hsm: Some("rack-1".to_owned()),
            pin: SecretString::from("0001pass\u{e9}"),
            force: true,
        };
        let bytes = unlock.to_bytes().unwrap();
        let Request::Unlock { hsm, pin, force } = Request::from_bytes(&bytes).unwrap() else {
            panic!("another request");
        };
        assert_eq!(
            (hsm.as_deref(), pin.expose_secret(), force),
            (Some("rack-1"), "0001pass\u{e9}", true)
        );
        let unlatch = Request::Unlatch { serial: None };
        let more = unlatch.to_bytes().unwrap();
        assert!(matches!(
            Request::from_bytes(&more),
            Ok(Request::Unlatch { serial: None })
        ));
        for bytes in [&bytes, &more] {
            for length in 0..bytes.len() {
                assert!(Request::from_bytes(&bytes[..length]).is_err(), "{length}");
            }
            assert!(Request::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn an_empty_pin_and_one_that_is_too_long_are_no_request() {
        let unlock = |pin: String| Request::Unlock {
            hsm: None,
            pin: SecretString::from(pin),
            force: false,
        };
        assert!(Request::from_bytes(&unlock(String::new()).to_bytes().unwrap()).is_err());
        let longest = unlock("x".repeat(LONGEST_FIELD)).to_bytes().unwrap();
        assert!(Request::from_bytes(&longest).is_ok());
        assert_eq!(
            unlock("x".repeat(LONGEST_FIELD + 1)).to_bytes(),
            Err(Malformed)
        );
        let too_long = [&[UNLATCH, 4, 1][..], &[b'x'; LONGEST_FIELD + 1]].concat();
        assert!(Request::from_bytes(&too_long).is_err());
    }

    #[test]
    fn a_request_does_not_show_its_pin() {
        let unlock = Request::Unlock {
            hsm: None,
            pin: SecretString::from("hunter2"),
            force: false,
        };
        assert!(!format!("{unlock:?}").contains("hunter2"));
    }
}
