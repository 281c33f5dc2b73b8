//! Which key on the token signs.
//!
//! A key is found by its `CKA_ID`, because that is what both halves share and what tools keep
//! unique by habit; a label is only a second filter. More than one match is refused where the token
//! is opened, never settled by order.

use std::fmt;
use std::str::FromStr;

/// A key on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySelector {
    /// Its `CKA_ID`.
    pub id: KeyId,
    /// Its `CKA_LABEL`, when that must match as well.
    pub label: Option<String>,
}

impl KeySelector {
    /// Checks the label.
    ///
    /// # Errors
    ///
    /// Fails if the label is empty or holds control characters.
    pub fn new(id: KeyId, label: Option<String>) -> Result<Self, KeySelectorError> {
        match &label {
            Some(text) if text.is_empty() => Err(KeySelectorError::Empty),
            Some(text) if text.chars().any(char::is_control) => Err(KeySelectorError::Control),
            Some(_) | None => Ok(Self { id, label }),
        }
    }
}

/// Why a key label cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySelectorError {
    /// Control characters.
    #[error("the key label holds a control character")]
    Control,
    /// No character.
    #[error("the key label is empty; leave it out to select by id alone")]
    Empty,
}

/// The bytes of a `CKA_ID`, written in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Vec<u8>);

impl KeyId {
    /// Takes the bytes.
    ///
    /// # Errors
    ///
    /// Fails if there are none, or more than 255.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyIdError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(KeyIdError::Empty),
            1..=MAX_BYTES => Ok(Self(bytes)),
            length => Err(KeyIdError::TooLong { length }),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    /// Reads `a008`, and `a0:08` as some tools print it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = if text.contains(':') {
            if text.split(':').any(|pair| pair.len() != 2) {
                return Err(KeyIdError::NotHex);
            }
            text.replace(':', "")
        } else {
            text.to_owned()
        };
        Self::new(hex::decode(digits).map_err(|_| KeyIdError::NotHex)?)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyIdError {
    /// No byte.
    #[error("the key id is empty; `mastersign hsm list` prints the ids on a token")]
    Empty,
    /// Something else than pairs of hexadecimal digits.
    #[error(
        "a key id is the CKA_ID in hexadecimal, two digits a byte, like a008 or a0:08; a label is \
         no id"
    )]
    NotHex,
    /// More bytes than any tool writes.
    #[error("a key id of {length} bytes is longer than the {MAX_BYTES} that are supported")]
    TooLong {
        /// How many bytes there are.
        length: usize,
    },
}

const MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_with_and_without_colons() {
        let id = KeyId::new([0xa0, 0x08]).unwrap();
        assert_eq!("a008".parse(), Ok(id.clone()));
        assert_eq!("A0:08".parse(), Ok(id.clone()));
        assert_eq!(id.to_string(), "a008");
    }

    #[test]
    fn what_is_not_pairs_of_digits_is_refused() {
        for text in [
            "a00",
            "master_sign",
            "a0:8",
            ":a0",
            "a0:",
            "0xa008",
            "a0 08",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError::NotHex), "{text:?}");
        }
        assert_eq!("".parse::<KeyId>(), Err(KeyIdError::Empty));
        assert_eq!(
            KeyId::new([7; 256]),
            Err(KeyIdError::TooLong { length: 256 })
        );
    }

    #[test]
    fn an_empty_or_unprintable_label_is_refused() {
        let id = KeyId::new([1]).unwrap();
        assert_eq!(
            KeySelector::new(id.clone(), Some(String::new())),
            Err(KeySelectorError::Empty)
        );
        assert_eq!(
            KeySelector::new(id, Some("a\0b".to_owned())),
            Err(KeySelectorError::Control)
        );
    }
}
