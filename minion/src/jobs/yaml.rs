//! Text that Salt reads as YAML where a value is wanted: `name=5` in a list of arguments, a number
//! among the keys of a grain.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::python::integer;
use crate::wire::msgpack::Value;

/// How long a text is read at all. What a master may send is a thousand times longer and no value
/// that somebody typed.
const MAX_BYTES: usize = 16 * 1024;

/// The value that the text means to Salt, which is the text itself where YAML would lose something.
///
/// Salt 3008.5, `salt/utils/args.py`, `yamlify_arg`; the same code in 3006.30 and 3007.17.
pub(super) fn yamlify(text: &str) -> Value {
    let trimmed = text.trim();
    let unread = matches!(trimmed, "" | "---" | "...")
        || text.len() > MAX_BYTES
        || text.contains(['\t', '\r', '\n'])
        || (text.contains('_') && trimmed.chars().all(|c| c.is_ascii_digit() || c == '_'));
    if unread {
        return text.into();
    }
    if text == "None" {
        return Value::Nil;
    }
    let Ok(Loaded(value)) = serde_saphyr::from_str(text) else {
        return text.into();
    };
    match &value {
        // Salt reads `0750` as 750, and not as the octal number that YAML once had.
        Value::Float(_) if integer(text).is_some() => integer(text).map_or(value, Value::from),
        Value::Float(_) if !is_float(text) => text.into(),
        // A comment would be lost.
        Value::Raw(_) | Value::Nil if text.contains('#') => text.into(),
        Value::Raw(loaded) if loaded.is_empty() && matches!(text, "|" | "!") => text.into(),
        Value::Nil if text == "!" => text.into(),
        // Without brackets they are text that happens to have a colon or a dash.
        Value::Map(_) if !text.starts_with('{') => text.into(),
        Value::Array(_) if !text.starts_with('[') => text.into(),
        _ => value,
    }
}

/// YAML 1.1, as Salt reads it: a float has a point, and the exponent a sign.
fn is_float(text: &str) -> bool {
    let exponent = text.split_once(['e', 'E']).map(|(_, exponent)| exponent);
    text.contains('.') && exponent.is_none_or(|exponent| exponent.starts_with(['+', '-']))
}

/// A value as YAML has it.
struct Loaded(Value);

impl<'de> Deserialize<'de> for Loaded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Loaded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Loaded, E> {
        Ok(Loaded(truth.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loaded, E> {
        Ok(Loaded(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loaded, E> {
        Ok(Loaded(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loaded, E> {
        Ok(Loaded(Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loaded, E> {
        Ok(Loaded(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Loaded, E> {
        Ok(Loaded(Value::Nil))
    }

    fn visit_none<E>(self) -> Result<Loaded, E> {
        Ok(Loaded(Value::Nil))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loaded, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loaded, A::Error> {
        let mut array = Vec::new();
        while let Some(Loaded(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Loaded(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Loaded, A::Error> {
        let mut map = Vec::new();
        while let Some((Loaded(key), Loaded(value))) = entries.next_entry()? {
            map.push((key, value));
        }
        Ok(Loaded(Value::Map(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_salt_reads_it() {
        for (text, expected) in [
            ("5", Value::Unsigned(5)),
            ("-5", Value::Signed(-5)),
            ("1.5", Value::Float(1.5)),
            ("0750", Value::Unsigned(750)),
            ("1e3", "1e3".into()),
            ("1.0e+3", Value::Float(1000.0)),
            ("1_000", "1_000".into()),
            ("true", true.into()),
            ("No", false.into()),
            ("None", Value::Nil),
            ("null", Value::Nil),
            ("", "".into()),
            ("---", "---".into()),
            ("a: b", "a: b".into()),
            ("- a", "- a".into()),
            ("[1, a]", Value::Array(vec![Value::Unsigned(1), "a".into()])),
            ("{a: 1}", Value::map([("a", Value::Unsigned(1))])),
            ("{1: a}", Value::Map(vec![(Value::Unsigned(1), "a".into())])),
            ("a # b", "a # b".into()),
            ("# b", "# b".into()),
            ("a\nb", "a\nb".into()),
            ("'quoted'", "quoted".into()),
            ("{broken", "{broken".into()),
            ("!", "!".into()),
            ("|", "|".into()),
        ] {
            assert_eq!(yamlify(text), expected, "{text:?}");
        }
    }
}
