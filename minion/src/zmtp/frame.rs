//! Flags, size, body (RFC 37, "Framing").
//!
//! A header is decoded before its body is there, so that the size is judged before anything is
//! kept for it.

use super::Error;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command, always alone.
    Command,
    /// The last or only frame of a message.
    Last,
    /// A frame of a message that goes on.
    More,
}

/// The flags and the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The size of the body, as claimed.
    pub(super) size: u64,
    /// How many bytes the header itself takes.
    pub(super) length: usize,
}

/// Reads a header, or tells that more must come.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let Some((&flags, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let kind = match flags & !LONG {
        COMMAND => Kind::Command,
        LAST => Kind::Last,
        MORE => Kind::More,
        _ => return Err(Error::Flags(flags)),
    };
    let (size, length) = if flags & LONG == 0 {
        (rest.first().copied().map(u64::from), 2)
    } else {
        (rest.first_chunk().copied().map(u64::from_be_bytes), 9)
    };
    Ok(size.map(|size| Header { kind, size, length }))
}

/// Writes a frame whose body is the parts, one after the other.
pub(super) fn encode(kind: Kind, parts: &[&[u8]], output: &mut Vec<u8>) {
    let flags = match kind {
        Kind::Command => COMMAND,
        Kind::Last => LAST,
        Kind::More => MORE,
    };
    let size: u64 = parts.iter().map(|part| part.len() as u64).sum();
    if let Ok(short) = u8::try_from(size) {
        output.extend([flags, short]);
    } else {
        output.push(flags | LONG);
        output.extend(size.to_be_bytes());
    }
    for part in parts {
        output.extend_from_slice(part);
    }
}

const LAST: u8 = 0;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reserved_flags_and_split_commands_are_refused() {
        for flags in 0..=u8::MAX {
            let known = matches!(flags, 0..=4 | 6);
            assert_eq!(header(&[flags]).is_ok(), known, "{flags:#04x}");
        }
    }

    #[test]
    fn bodies_of_255_bytes_are_short_and_of_256_long() {
        for (size, length) in [(0, 2), (255, 2), (256, 9), (70_000, 9)] {
            let mut bytes = Vec::new();
            encode(Kind::More, &[&vec![7; size]], &mut bytes);
            let header = header(&bytes).unwrap().unwrap();
            assert_eq!((header.kind, header.size), (Kind::More, size as u64));
            assert_eq!((header.length, bytes.len()), (length, length + size));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(a: Vec<u8>, b: Vec<u8>, kind in 0_usize..3) {
            let kind = [Kind::Command, Kind::Last, Kind::More][kind];
            let mut bytes = Vec::new();
            encode(kind, &[&a, &b], &mut bytes);
            let header = header(&bytes).unwrap().unwrap();
            prop_assert_eq!(header.kind, kind);
            prop_assert_eq!(&bytes[header.length..], &[a, b].concat());
            for cut in 0..header.length {
                prop_assert_eq!(super::header(&bytes[..cut]), Ok(None));
            }
        }
    }
}
