//! The first 64 bytes (RFC 37, "Formal Grammar" and "Version Negotiation").
//!
//! We send all of ours at once and without waiting, the second of the RFC's two cases: a peer that
//! would need the cautious exchange of signatures speaks a version that we refuse anyway.

use super::Error;
use super::error::printable;

/// How long a greeting is.
pub(super) const LENGTH: usize = 64;

/// What the peer announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// At least 3.
    pub major: u8,
    /// 0 in libzmq 4.0 to 4.2, 1 from 4.3 on.
    pub minor: u8,
}

impl Version {
    /// Whether subscriptions are commands (RFC 37); in 3.0 they are messages.
    #[must_use]
    pub const fn has_subscribe_command(self) -> bool {
        self.major > 3 || self.minor > 0
    }
}

/// Our greeting: version 3.1, mechanism NULL, not a server.
pub(super) fn encode() -> [u8; LENGTH] {
    let mut greeting = [0; LENGTH];
    let fields = SIGNATURE.iter().chain(&VERSION).chain(NULL);
    for (byte, value) in greeting.iter_mut().zip(fields) {
        *byte = *value;
    }
    greeting
}

/// Reads the peer's greeting, or tells that more must come.
///
/// Each byte is judged as soon as it is there, so that a web server is refused for its `H` instead
/// of being waited for. The padding means nothing (the RFC forbids to look at it), nor does the
/// as-server byte under NULL.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Version>, Error> {
    if bytes.first().is_some_and(|first| *first != 0xff)
        || bytes.get(9).is_some_and(|last| *last != 0x7f)
    {
        return Err(Error::NotZmtp);
    }
    if let Some(major) = bytes.get(10).filter(|major| **major < 3) {
        return Err(Error::Version(*major));
    }
    if let Some(mechanism) = bytes.get(12..32).filter(|name| name != NULL) {
        let name = mechanism.split(|byte| *byte == 0).next();
        return Err(Error::Mechanism(printable(name.unwrap_or_default())));
    }
    match bytes.get(10..LENGTH) {
        Some([major, minor, ..]) => Ok(Some(Version {
            major: *major,
            minor: *minor,
        })),
        _ => Ok(None),
    }
}

const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f];
const VERSION: [u8; 2] = [3, 1];
const NULL: &[u8; 20] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_greeting_is_one_that_we_accept() {
        let version = parse(&encode()).unwrap().unwrap();
        assert_eq!((version.major, version.minor), (3, 1));
    }

    #[test]
    fn a_later_version_is_accepted_and_an_earlier_one_is_not() {
        let mut greeting = encode();
        (greeting[10], greeting[11]) = (4, 0);
        let version = parse(&greeting).unwrap().unwrap();
        assert!(version.has_subscribe_command());
        greeting[10] = 1;
        assert_eq!(parse(&greeting), Err(Error::Version(1)));
        assert_eq!(parse(&greeting[..11]), Err(Error::Version(1)));
    }

    #[test]
    fn version_3_0_has_no_subscribe_command() {
        let mut greeting = encode();
        greeting[11] = 0;
        assert!(!parse(&greeting).unwrap().unwrap().has_subscribe_command());
    }

    #[test]
    fn padding_and_filler_mean_nothing() {
        let mut greeting = encode();
        greeting[1..9].fill(0xaa);
        greeting[32..].fill(1);
        assert!(parse(&greeting).unwrap().is_some());
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        assert_eq!(parse(b"H"), Err(Error::NotZmtp));
        // ZMTP 1.0: a long frame with an identity, whose flags end the first ten bytes.
        assert_eq!(
            parse(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
            Err(Error::NotZmtp)
        );
    }

    #[test]
    fn another_mechanism_is_named() {
        let mut greeting = encode();
        greeting[12..17].copy_from_slice(b"CURVE");
        assert_eq!(parse(&greeting), Err(Error::Mechanism("CURVE".to_owned())));
    }

    #[test]
    fn every_prefix_waits_for_the_rest() {
        for length in 0..LENGTH {
            assert_eq!(parse(&encode()[..length]), Ok(None), "{length}");
        }
    }
}
