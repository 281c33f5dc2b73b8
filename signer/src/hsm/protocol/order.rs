//! What the service asks of a worker.

use std::borrow::Cow;

use minion::verify::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::fields::{Malformed, Reader, algorithm, code, put};
use super::frame::{FrameError, append};
use crate::authorize::SignedStatement;

/// One message from the service to a worker.
#[derive(Debug)]
pub enum Order<'a> {
    /// Say what token, key and verdict you have; answered by [`WorkerReady`](super::WorkerReady)
    /// without trials.
    Describe,
    /// Log in, once; the first order of all.
    Login {
        /// The store whose acceptances count from here on.
        store: Uuid,
        /// The token's PIN.
        pin: SecretString,
    },
    /// Make a trial signature; it takes no bytes, because anything else signed for a test would be
    /// a forgery.
    Probe,
    /// Sign the public key of an accepted master.
    Sign {
        /// One of Salt's two.
        algorithm: Algorithm,
        /// The canonical PEM.
        key: Cow<'a, str>,
        /// The operator's statement that accepts it.
        acceptance: Cow<'a, SignedStatement>,
    },
}

impl<'a> Order<'a> {
    /// Appends the order as a frame.
    ///
    /// # Errors
    ///
    /// Fails if it is longer than a frame may be.
    pub fn append(&self, id: u32, out: &mut Vec<u8>) -> Result<(), FrameError> {
        append(id, out, |out| match self {
            Self::Describe => out.push(DESCRIBE),
            Self::Login { store, pin } => {
                out.push(LOGIN);
                out.extend_from_slice(store.as_bytes());
                put(out, pin.expose_secret().as_bytes());
            }
            Self::Probe => out.push(PROBE),
            Self::Sign {
                algorithm,
                key,
                acceptance,
            } => {
                out.extend_from_slice(&[SIGN, code(*algorithm)]);
                put(out, key.as_bytes());
                put(out, acceptance.statement.as_bytes());
                put(out, acceptance.signature.as_bytes());
                put(out, acceptance.certificate.as_bytes());
            }
        })
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    ///
    /// Fails on anything that [`append`](Self::append) does not write.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let order = match reader.byte()? {
            DESCRIBE => Self::Describe,
            LOGIN => Self::Login {
                store: Uuid::from_bytes(reader.array()?),
                pin: SecretString::from(reader.text()?),
            },
            PROBE => Self::Probe,
            SIGN => Self::Sign {
                algorithm: algorithm(reader.byte()?)?,
                key: Cow::Borrowed(reader.text()?),
                acceptance: Cow::Owned(SignedStatement {
                    statement: reader.text()?.to_owned(),
                    signature: reader.text()?.to_owned(),
                    certificate: reader.text()?.to_owned(),
                }),
            },
            _ => return Err(Malformed),
        };
        reader.end(order)
    }
}

const DESCRIBE: u8 = 1;
const LOGIN: u8 = 2;
const PROBE: u8 = 3;
const SIGN: u8 = 4;

#[cfg(test)]
mod tests {
    use super::super::{Decoder, MAX_BODY};
    use super::*;

    #[test]
    fn a_call_survives_the_way() {
        let acceptance = acceptance();
        let bytes = body(&sign(&acceptance));
        let Ok(Order::Sign {
            algorithm,
            key,
            acceptance: read,
        }) = Order::parse(&bytes)
        else {
            panic!("not a call: {bytes:?}");
        };
        assert_eq!(
            (algorithm, key.as_ref(), read.as_ref()),
            (Algorithm::Sha224, "a key", &acceptance)
        );
    }

    #[test]
    fn the_login_survives_the_way() {
        let order = Order::Login {
            store: Uuid::from_u128(7),
            pin: SecretString::from("1234"),
        };
        let bytes = body(&order);
        let Ok(Order::Login { store, pin }) = Order::parse(&bytes) else {
            panic!("not a login");
        };
        assert_eq!((store, pin.expose_secret()), (Uuid::from_u128(7), "1234"));
    }

    #[test]
    fn every_truncation_and_every_addition_is_malformed() {
        let acceptance = acceptance();
        let login = Order::Login {
            store: Uuid::nil(),
            pin: SecretString::from("1234"),
        };
        for order in [Order::Describe, Order::Probe, login, sign(&acceptance)] {
            let whole = body(&order);
            for cut in 0..whole.len() {
                assert!(Order::parse(&whole[..cut]).is_err(), "{cut} of {order:?}");
            }
            let longer = [whole, vec![0]].concat();
            assert!(Order::parse(&longer).is_err(), "{order:?} and more");
        }
    }

    #[test]
    fn unknown_orders_and_algorithms_are_malformed() {
        assert!(Order::parse(&[0]).is_err());
        assert!(Order::parse(&[5]).is_err());
        let acceptance = acceptance();
        let mut bytes = body(&sign(&acceptance));
        bytes[1] = 3;
        assert!(Order::parse(&bytes).is_err());
    }

    #[test]
    fn a_call_that_does_not_fit_is_not_sent() {
        let acceptance = SignedStatement {
            certificate: "c".repeat(MAX_BODY),
            ..acceptance()
        };
        assert!(sign(&acceptance).append(1, &mut Vec::new()).is_err());
    }

    #[test]
    fn no_debug_output_shows_the_pin() {
        let order = Order::Login {
            store: Uuid::nil(),
            pin: SecretString::from("hunter2"),
        };
        assert!(!format!("{order:?}").contains("hunter2"));
    }

    fn sign(acceptance: &SignedStatement) -> Order<'_> {
        Order::Sign {
            algorithm: Algorithm::Sha224,
            key: Cow::Borrowed("a key"),
            acceptance: Cow::Borrowed(acceptance),
        }
    }

    fn acceptance() -> SignedStatement {
        SignedStatement {
            statement: "a statement\n".to_owned(),
            signature: "a signature".to_owned(),
            certificate: "a certificate".to_owned(),
        }
    }

    fn body(order: &Order<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        order.append(1, &mut out).unwrap();
        let mut decoder = Decoder::default();
        let space = decoder.space();
        space.get_mut(..out.len()).unwrap().copy_from_slice(&out);
        decoder.filled(out.len());
        decoder.next().unwrap().unwrap().body.to_vec()
    }
}
