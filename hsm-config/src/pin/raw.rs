//! A `pin` key on its way from the file to a [`PinSource`](super::PinSource).
//!
//! Reading never fails over a value, because the error of a TOML parser quotes what it read, and
//! what it read may be the PIN. So any value is accepted here, what is not understood is dropped,
//! and the refusal comes from the check.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The `pin` key as it stands in the file; what is not a source of ours is dropped while it is
/// read.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPin {
    /// None for anything but a table: an inline PIN.
    pub(super) fields: Option<BTreeMap<String, Value>>,
}

impl fmt::Debug for RawPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.fields.iter().flat_map(BTreeMap::keys).collect();
        f.debug_struct("RawPin")
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for RawPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PinVisitor)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    List(Vec<String>),
    Number(i64),
    Other,
    Text(String),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct PinVisitor;

impl<'de> Visitor<'de> for PinVisitor {
    type Value = RawPin;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with one PIN source")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPin, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = if KEYS.contains(&key.as_str()) {
                map.next_value::<Value>()?
            } else {
                map.next_value::<IgnoredAny>()?;
                Value::Other
            };
            fields.insert(key, value);
        }
        Ok(RawPin {
            fields: Some(fields),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawPin, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(INLINE)
    }

    fn visit_bool<E>(self, _: bool) -> Result<RawPin, E> {
        Ok(INLINE)
    }

    fn visit_f64<E>(self, _: f64) -> Result<RawPin, E> {
        Ok(INLINE)
    }

    fn visit_i64<E>(self, _: i64) -> Result<RawPin, E> {
        Ok(INLINE)
    }

    fn visit_str<E>(self, _: &str) -> Result<RawPin, E> {
        Ok(INLINE)
    }

    fn visit_u64<E>(self, _: u64) -> Result<RawPin, E> {
        Ok(INLINE)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or a list of texts")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let mut texts_only = true;
        while let Some(value) = seq.next_element::<Self::Value>()? {
            match value {
                Value::Text(text) => list.push(text),
                Value::Flag(_) | Value::List(_) | Value::Number(_) | Value::Other => {
                    texts_only = false;
                }
            }
        }
        Ok(if texts_only {
            Value::List(list)
        } else {
            Value::Other
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other, Value::Number))
    }
}

const INLINE: RawPin = RawPin { fields: None };
const KEYS: &[&str] = &[
    "allow",
    "command",
    "credential",
    "deadline",
    "environment",
    "fd",
    "file",
    "prompt",
];
