//! MessagePack.

use minion::wire::msgpack::{decode, encode};

/// What is read is written shorter or the same, and reads the same again.
pub fn run(input: &[u8]) {
    let Ok(value) = decode(input) else { return };
    let written = encode(&value).expect("what was read can be written");
    // A float of four bytes is written in eight; everything else gets shorter.
    assert!(written.len() <= input.len().saturating_mul(2));
    let again = decode(&written).expect("what was written can be read");
    // Compared as bytes, since a float may be no number.
    assert_eq!(encode(&again), Ok(written));
}

/// Every recorded frame.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::capture::frames("")
}
