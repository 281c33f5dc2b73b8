//! The commands of the NULL mechanism, of subscriptions and of heartbeats (RFC 37).
//!
//! A name that we don't know is no fault: the RFC lets mechanisms and patterns add their own, and
//! libzmq ignores them too. A known one that breaks its grammar is.

use std::time::Duration;

use super::Error;
use super::error::printable;
use super::frame::{self, Kind};

/// A command as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// ERROR, with its reason.
    Error(String),
    /// Anything else, by name; SUBSCRIBE and CANCEL too, which only publishers receive.
    Other(&'a [u8]),
    Ping {
        /// Zero means none.
        ttl: Duration,
        context: Context,
    },
    Pong(Context),
    Ready {
        /// RFC 37 only recommends to send it, and libzmq accepts a peer that does not.
        socket_type: Option<&'a [u8]>,
    },
}

impl<'a> Command<'a> {
    /// Reads the body of a command frame.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let (name, data) = short_string(body)
            .filter(|(name, _)| !name.is_empty())
            .ok_or(Error::MalformedCommand("nameless"))?;
        match name {
            b"ERROR" => short_string(data)
                .map(|(reason, _)| Self::Error(printable(reason)))
                .ok_or(Error::MalformedCommand("ERROR")),
            b"PING" => ping(data).ok_or(Error::MalformedCommand("PING")),
            b"PONG" => Context::new(data)
                .map(Self::Pong)
                .ok_or(Error::MalformedCommand("PONG")),
            b"READY" => ready(data).ok_or(Error::MalformedCommand("READY")),
            _ => Ok(Self::Other(name)),
        }
    }
}

/// The up to 16 bytes that a PONG brings back from its PING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    bytes: [u8; 16],
    length: usize,
}

impl Context {
    /// Wraps the bytes, if there are no more than 16.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; 16];
        let length = bytes.len();
        padded.get_mut(..length)?.copy_from_slice(bytes);
        Some(Self {
            bytes: padded,
            length,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl From<u64> for Context {
    fn from(number: u64) -> Self {
        let mut bytes = [0; 16];
        for (byte, value) in bytes.iter_mut().zip(number.to_be_bytes()) {
            *byte = value;
        }
        Self { bytes, length: 8 }
    }
}

/// How a socket calls itself: 1 to 255 bytes of which the first is not zero (RFC 37, "The Identity
/// Property").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Vec<u8>);

impl Identity {
    /// Checks the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let valid = bytes.len() <= 255 && bytes.first().is_some_and(|first| *first != 0);
        valid.then_some(Self(bytes))
    }
}

/// Writes a READY.
pub(super) fn write_ready(
    socket_type: &'static str,
    identity: Option<&Identity>,
    output: &mut Vec<u8>,
) {
    let mut body = b"\x05READY".to_vec();
    property(b"\x0bSocket-Type", socket_type.as_bytes(), &mut body);
    if let Some(Identity(identity)) = identity {
        property(b"\x08Identity", identity, &mut body);
    }
    frame::encode(Kind::Command, &[&body], output);
}

/// Writes a PING.
pub(super) fn write_ping(ttl: Duration, context: &Context, output: &mut Vec<u8>) {
    // In tenths of a second; two bytes hold less than two hours.
    let tenths = u16::try_from(ttl.as_millis().div_ceil(100)).unwrap_or(u16::MAX);
    let parts = [&b"\x04PING"[..], &tenths.to_be_bytes(), context.as_bytes()];
    frame::encode(Kind::Command, &parts, output);
}

/// Writes a PONG.
pub(super) fn write_pong(context: &Context, output: &mut Vec<u8>) {
    frame::encode(Kind::Command, &[b"\x04PONG", context.as_bytes()], output);
}

/// Writes a SUBSCRIBE.
pub(super) fn write_subscribe(prefix: &[u8], output: &mut Vec<u8>) {
    frame::encode(Kind::Command, &[b"\x09SUBSCRIBE", prefix], output);
}

/// Metadata values are at most a command long, which a `u32` holds.
fn property(name: &[u8], value: &[u8], body: &mut Vec<u8>) {
    body.extend_from_slice(name);
    body.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(value);
}

fn ping(data: &[u8]) -> Option<Command<'_>> {
    let (tenths, context) = data.split_first_chunk()?;
    let ttl = Duration::from_millis(u64::from(u16::from_be_bytes(*tenths)).saturating_mul(100));
    let context = Context::new(context)?;
    Some(Command::Ping { ttl, context })
}

fn ready(mut data: &[u8]) -> Option<Command<'_>> {
    let mut socket_type = None;
    while !data.is_empty() {
        let (name, rest) = short_string(data).filter(|(name, _)| !name.is_empty())?;
        let (size, rest) = rest.split_first_chunk()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let (value, rest) = rest.split_at_checked(size)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            socket_type.get_or_insert(value);
        }
        data = rest;
    }
    Some(Command::Ready { socket_type })
}

/// A size of one byte, that many bytes, and the rest.
fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ping_carries_its_time_to_live_in_tenths_and_at_most_16_bytes() {
        let ping = |data: &[u8]| [b"\x04PING", data].concat();
        let parsed = Command::parse(b"\x04PING\x00\x1eabc").map(|command| format!("{command:?}"));
        assert!(parsed.unwrap().contains("ttl: 3s"));
        assert!(Command::parse(&ping(&[0; 18])).is_ok());
        for malformed in [&[0; 19][..], &[0], &[]] {
            let refused = Err(Error::MalformedCommand("PING"));
            assert_eq!(Command::parse(&ping(malformed)), refused);
        }
    }

    #[test]
    fn names_of_properties_have_no_case_and_unknown_ones_are_skipped() {
        let body = b"\x05READY\x03X-A\0\0\0\x01a\x0bSOCKET-type\0\0\0\x03PUB";
        let socket_type = Some(&b"PUB"[..]);
        assert_eq!(Command::parse(body), Ok(Command::Ready { socket_type }));
    }

    #[test]
    fn metadata_that_claims_more_than_is_there_is_refused() {
        for body in [
            &b"\x05READY\0"[..],
            b"\x05READY\0\0\0\0\0",
            b"\x05READY\x01a\0\0\0\x02a",
            b"\x05READY\x01a\xff\xff\xff\xffa",
            b"\x05READY\x01a\0\0",
        ] {
            let refused = Err(Error::MalformedCommand("READY"));
            assert_eq!(Command::parse(body), refused, "{body:?}");
        }
    }

    #[test]
    fn a_command_needs_a_name() {
        for body in [&b""[..], b"\0", b"\x05PIN"] {
            let refused = Err(Error::MalformedCommand("nameless"));
            assert_eq!(Command::parse(body), refused);
        }
        assert_eq!(Command::parse(b"\x04JOINx"), Ok(Command::Other(b"JOIN")));
    }

    #[test]
    fn an_identity_is_not_empty_nor_zero_nor_long() {
        assert!(Identity::new(b"minion".to_vec()).is_some());
        for bytes in [vec![], vec![0, 1], vec![1; 256]] {
            assert_eq!(Identity::new(bytes), None);
        }
    }

    #[test]
    fn a_time_to_live_is_rounded_up_and_bounded() {
        for (ttl, bytes) in [(1, [0, 1]), (3000, [0, 30]), (u64::MAX, [255, 255])] {
            let mut output = Vec::new();
            let context = Context::from(7);
            write_ping(Duration::from_millis(ttl), &context, &mut output);
            assert_eq!(output[..9], [&b"\x04\x0f\x04PING"[..], &bytes].concat());
            assert_eq!(output[9..], *context.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body: Vec<u8>, name in 0_usize..4, plain: bool) {
            let names: [&[u8]; 4] = [b"\x04PING", b"\x04PONG", b"\x05READY", b"\x05ERROR"];
            let body = if plain { body } else { [names[name], &body].concat() };
            let _ = Command::parse(&body);
        }

        #[test]
        fn a_context_survives_its_way(bytes in prop::collection::vec(any::<u8>(), 0..=16)) {
            let context = Context::new(&bytes).unwrap();
            prop_assert_eq!(context.as_bytes(), &bytes);
            let mut frame = Vec::new();
            write_pong(&context, &mut frame);
            prop_assert_eq!(Command::parse(&frame[2..]), Ok(Command::Pong(context)));
        }
    }
}
