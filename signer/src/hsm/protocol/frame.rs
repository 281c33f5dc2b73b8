//! Frames: u32 length of the body, u32 id, body; both numbers big-endian.
//!
//! An answer carries the id of its call and may come in any order; id 0 belongs to what is no
//! answer.

use zeroize::Zeroize;

/// The longest body that is sent or taken.
pub const MAX_BODY: usize = 16 * 1024;

/// One frame in the decoder's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which call it belongs to.
    pub id: u32,
    /// What is said.
    pub body: &'a [u8],
}

/// A frame that breaks the rules; nothing after it can be trusted to be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is longer than the {MAX_BODY} that are allowed")]
pub struct FrameError {
    /// The length that was announced or needed.
    pub length: usize,
}

/// Appends a frame whose body is written by `body`.
///
/// # Errors
///
/// Fails if the body is too long; `out` is then as it was.
pub(super) fn append(
    id: u32,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&id.to_be_bytes());
    let before = out.len();
    body(out);
    let length = out.len().saturating_sub(before);
    match (u32::try_from(length), out.get_mut(start..)) {
        (Ok(announced), Some(frame)) if length <= MAX_BODY => {
            frame
                .iter_mut()
                .zip(announced.to_be_bytes())
                .for_each(|(to, from)| *to = from);
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError { length })
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Decoder {
    /// Where the next bytes of the stream go; tell [`filled`](Self::filled) how many came.
    ///
    /// It is never empty as long as [`next`](Self::next) was called until it had no more.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes `count` bytes of [`space`](Self::space) as read.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    ///
    /// Fails on a frame that is longer than allowed, and from then on always.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = unread.split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_BODY {
            return Err(FrameError { length });
        }
        let Some((id, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        self.start = self.start.saturating_add(HEADER).saturating_add(length);
        let id = u32::from_be_bytes(*id);
        Ok(Some(Frame { id, body }))
    }

    /// Overwrites everything but what was read and not yet taken.
    pub fn wipe(&mut self) {
        let parts = [0..self.start, self.end..self.buffer.len()];
        for part in parts {
            if let Some(bytes) = self.buffer.get_mut(part) {
                bytes.zeroize();
            }
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            buffer: vec![0; CAPACITY].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }
}

const HEADER: usize = 8;
/// Several frames per read when many answers come at once; one of the longest always fits.
const CAPACITY: usize = 4 * (MAX_BODY + HEADER);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_truncation_is_an_unfinished_frame() {
        let whole = encode(&[(7, b"body".to_vec())]);
        for cut in 0..whole.len() {
            let mut decoder = Decoder::default();
            feed(&mut decoder, &whole[..cut]);
            assert_eq!(decoder.next(), Ok(None), "{cut} bytes");
            feed(&mut decoder, &whole[cut..]);
            let frame = decoder.next().unwrap().unwrap();
            assert_eq!((frame.id, frame.body), (7, &b"body"[..]));
        }
    }

    #[test]
    fn an_oversize_frame_is_refused_before_its_body_arrives() {
        let length = u32::try_from(MAX_BODY + 1).unwrap();
        let mut decoder = Decoder::default();
        feed(&mut decoder, &length.to_be_bytes());
        assert_eq!(
            decoder.next(),
            Err(FrameError {
                length: MAX_BODY + 1
            })
        );
    }

    #[test]
    fn an_oversize_body_is_not_sent() {
        let mut out = b"before".to_vec();
        let body = |out: &mut Vec<u8>| out.extend_from_slice(&[0; MAX_BODY + 1]);
        assert!(append(1, &mut out, body).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn the_longest_body_passes() {
        let whole = encode(&[(u32::MAX, vec![1; MAX_BODY])]);
        let mut decoder = Decoder::default();
        feed(&mut decoder, &whole);
        assert_eq!(decoder.next().unwrap().unwrap().body.len(), MAX_BODY);
    }

    #[test]
    fn a_wipe_overwrites_what_was_taken_and_keeps_what_follows() {
        let mut decoder = Decoder::default();
        feed(
            &mut decoder,
            &encode(&[(1, b"1234".to_vec()), (2, b"next".to_vec())]),
        );
        decoder.next().unwrap().unwrap();
        decoder.wipe();
        assert!(!decoder.buffer.windows(4).any(|bytes| bytes == b"1234"));
        assert_eq!(decoder.next().unwrap().unwrap().body, b"next");
        decoder.wipe();
        assert!(decoder.buffer.iter().all(|byte| *byte == 0));
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            frames in prop::collection::vec((any::<u32>(), body()), 0..20),
            pieces in prop::collection::vec(1usize..5000, 1..20),
        ) {
            let stream = encode(&frames);
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            for piece in pieces.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(piece.min(rest.len()));
                feed(&mut decoder, now);
                rest = later;
                while let Some(frame) = decoder.next().unwrap() {
                    seen.push((frame.id, frame.body.to_vec()));
                }
            }
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            feed(&mut decoder, &bytes);
            while let Ok(Some(frame)) = decoder.next() {
                prop_assert!(frame.body.len() <= bytes.len());
            }
        }
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..3000)
    }

    fn encode(frames: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, body) in frames {
            append(*id, &mut out, |out| out.extend_from_slice(body)).unwrap();
        }
        out
    }

    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        decoder.space()[..bytes.len()].copy_from_slice(bytes);
        decoder.filled(bytes.len());
    }
}
