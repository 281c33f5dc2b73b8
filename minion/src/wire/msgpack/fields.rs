//! A map taken apart by name, once, where a message comes in.
//!
//! A name that occurs twice is refused: Python keeps the last value and others the first, and a
//! message that two readers understand differently must not be acted on.

use std::collections::BTreeMap;

use super::{DecodeError, Value, decode};

/// The fields of one map.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Decodes a message that must be a map.
    ///
    /// # Errors
    ///
    /// Fails as [`decode`] and [`new`](Self::new) do.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        Self::new(decode(bytes)?)
    }

    /// Takes a map apart.
    ///
    /// # Errors
    ///
    /// Fails if the value is no map, a key no text, or a key occurs twice.
    pub fn new(value: Value) -> Result<Self, FieldError> {
        let Value::Map(entries) = value else {
            return Err(FieldError::NotMap);
        };
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let name = key.as_text().ok_or(FieldError::NotText)?.to_owned();
            if fields.insert(name, value).is_some() {
                return Err(FieldError::Twice);
            }
        }
        Ok(Self(fields))
    }

    /// Takes a field that need not be there.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a field of bytes that need not be there.
    ///
    /// # Errors
    ///
    /// Fails if the field is something else.
    pub fn optional_bytes(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Raw(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(FieldError::Wrong(name)),
        }
    }

    /// Takes a field of bytes.
    ///
    /// # Errors
    ///
    /// Fails if the field is missing or something else.
    pub fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, FieldError> {
        self.optional_bytes(name)?.ok_or(FieldError::Missing(name))
    }

    /// Takes a field of text that need not be there.
    ///
    /// # Errors
    ///
    /// Fails if the field is something else.
    pub fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, FieldError> {
        let bytes = self.optional_bytes(name)?;
        bytes
            .map(|bytes| String::from_utf8(bytes).map_err(|_| FieldError::Wrong(name)))
            .transpose()
    }

    /// Takes a field of text.
    ///
    /// # Errors
    ///
    /// Fails if the field is missing or something else.
    pub fn text(&mut self, name: &'static str) -> Result<String, FieldError> {
        self.optional_text(name)?.ok_or(FieldError::Missing(name))
    }

    /// Takes a field that is an integer from zero up.
    ///
    /// # Errors
    ///
    /// Fails if the field is missing or something else.
    pub fn unsigned(&mut self, name: &'static str) -> Result<u64, FieldError> {
        match self.take(name) {
            None => Err(FieldError::Missing(name)),
            Some(Value::Unsigned(number)) => Ok(number),
            Some(_) => Err(FieldError::Wrong(name)),
        }
    }
}

/// Why a message does not have the fields it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The bytes are no MessagePack within the limits.
    #[error("the message cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A field that must be there is not.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
    /// The message is not a map.
    #[error("the message is not a map")]
    NotMap,
    /// A key of the map is not text.
    #[error("a field's name is not text")]
    NotText,
    /// A key occurs twice.
    #[error("a field occurs twice")]
    Twice,
    /// A field has another type or is outside its range.
    #[error("the field {0:?} is not what it should be")]
    Wrong(&'static str),
}
