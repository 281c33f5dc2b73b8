//! MessagePack in Salt's dialect, bounded before anything is allocated.
//!
//! Salt packs with `use_bin_type=False`, so text and bytes share the old *raw* family and nothing
//! says which of the two a value is (Salt 3008.5, `salt/payload.py`, `dumps`). The codec is our
//! own: serde and `rmpv` insist on the difference and lose the dialect, `rmpv` also builds the tree
//! before anybody can count it, and `rmp`'s low-level reader would save the table of markers only,
//! which is the small part of the work.

mod decode;
mod encode;
mod fields;

pub use decode::{DecodeError, decode};
pub use encode::{EncodeError, encode};
pub use fields::{FieldError, Fields};

/// How deep maps and arrays may nest. A publication or a reply of Salt needs five levels; recursion
/// ends here.
pub const MAX_DEPTH: usize = 32;

/// How many values one message may hold, keys included. Each costs us at most 32 bytes however
/// short its encoding, so a message of one-byte values cannot take more than 2 MiB.
pub const MAX_ITEMS: usize = 65_536;

/// How long a message may be. A publication carries the arguments of a job, and Salt's own event
/// bus ends at 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing; Python's `None`.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer from zero up.
    Unsigned(u64),
    /// An integer below zero; the decoder reads anything else as [`Unsigned`](Self::Unsigned).
    Signed(i64),
    /// A floating-point number.
    Float(f64),
    /// Text or bytes: the wire does not tell them apart.
    Raw(Vec<u8>),
    /// A list.
    Array(Vec<Self>),
    /// A map in the order of the wire.
    Map(Vec<(Self, Self)>),
    /// A value of another type: Salt has 78 for a time and 79 for a constant.
    Extension(i8, Vec<u8>),
}

impl Value {
    /// The value as text, if it is raw and UTF-8.
    ///
    /// Salt 3008.5, `salt/transport/frame.py`, `decode_embedded_strs`: what is valid UTF-8 becomes
    /// a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The value as bytes, if it is raw.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Raw(bytes) = self {
            Some(bytes.as_slice())
        } else {
            None
        }
    }

    /// A map with text for keys.
    #[must_use]
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
        Self::Map(entries.collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Raw(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Raw(bytes)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Unsigned(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Signed(number), Self::Unsigned)
    }
}
