//! The value that ties a reply to its request.
//!
//! A nonce is not `Clone`, and the functions that check a reply consume it: that a nonce counts
//! once only is not a rule to remember but one that compiles.

use std::fmt;

/// A fresh nonce: 16 random bytes, written as Salt writes `uuid4().hex`.
pub struct Nonce(String);

impl Nonce {
    /// How many characters a nonce has on the wire.
    pub const LENGTH: usize = 32;

    /// Makes a nonce of 16 bytes that must come from the system's generator and be used for nothing
    /// else.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(Self::LENGTH);
        for byte in random {
            // Writing into a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The 32 lower-case hexadecimal characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `echoed` is this nonce, in a time that does not tell how much of it is.
    pub(super) fn is(&self, echoed: &[u8]) -> bool {
        same(self.0.as_bytes(), echoed)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.0)
    }
}

/// Compares in a time that depends on the lengths only.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && openssl::memcmp::eq(left, right)
}
