//! Text that Salt reads as YAML where a value is wanted: `name=5` in a list of arguments, a number
//! among the keys of a grain.

use crate::wire::msgpack::Value;
use crate::yaml::load;

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
    let Ok(value) = load(text) else {
        return text.into();
    };
    match &value {
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
            ("-0750", Value::Signed(-488)),
            ("1:30", Value::Unsigned(90)),
            (".inf", Value::Float(f64::INFINITY)),
            ("2026-11-22", "2026-11-22".into()),
            ("=", "=".into()),
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
            ("{a: 1, a: 2}", "{a: 1, a: 2}".into()),
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
