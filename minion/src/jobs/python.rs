//! Values as Python shows and judges them.
//!
//! Salt matches grains by `str(value)`, quotes arguments in error texts and decides by truth; what
//! an operator types was learned from that.

use std::fmt::Write;

use crate::wire::msgpack::Value;

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    match value.as_text() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// `bool(value)`.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Nil => false,
        Value::Bool(truth) => *truth,
        Value::Unsigned(number) => *number != 0,
        Value::Signed(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Raw(bytes) => !bytes.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Extension(..) => true,
    }
}

/// `type(value).__name__`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "NoneType",
        Value::Bool(_) => "bool",
        Value::Unsigned(_) | Value::Signed(_) => "int",
        Value::Float(_) => "float",
        Value::Raw(_) if value.as_text().is_some() => "str",
        Value::Raw(_) => "bytes",
        Value::Array(_) => "list",
        Value::Map(_) => "dict",
        Value::Extension(..) => "ExtType",
    }
}

/// `int(text)` for a text: underscores between digits and space around are allowed.
pub(super) fn integer(text: &str) -> Option<i64> {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let well_formed = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    well_formed
        .then(|| trimmed.replace('_', "").parse().ok())
        .flatten()
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Nil => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Unsigned(number) => write_display(out, number),
        Value::Signed(number) => write_display(out, number),
        Value::Float(number) => write_float(out, *number),
        Value::Raw(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_text(out, text),
            Err(_) => write_bytes(out, bytes),
        },
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(out, key);
                out.push_str(": ");
                write_repr(out, value);
            }
            out.push('}');
        }
        Value::Extension(kind, bytes) => {
            write_display(out, format_args!("ExtType(code={kind}, data="));
            write_bytes(out, bytes);
            out.push(')');
        }
    }
}

/// The shortest digits that mean the number, in the notation that Python chooses.
fn write_float(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("nan");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
    } else if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        write_display(out, format_args!("{number:?}"));
    } else {
        let scientific = format!("{number:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        write_display(out, format_args!("{digits}e{sign}{exponent:0>2}"));
    }
}

fn write_text(out: &mut String, text: &str) {
    let quote = quote(text.contains('\''), text.contains('"'));
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => write_display(out, format_args!("\\{c}")),
            c if c != ' ' && (c.is_control() || c.is_whitespace()) => {
                let code = u32::from(c);
                match code {
                    0..=0xff => write_display(out, format_args!("\\x{code:02x}")),
                    0x100..=0xffff => write_display(out, format_args!("\\u{code:04x}")),
                    _ => write_display(out, format_args!("\\U{code:08x}")),
                }
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = quote(bytes.contains(&b'\''), bytes.contains(&b'"'));
    out.push('b');
    out.push(quote);
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if char::from(*byte) == quote => {
                write_display(out, format_args!("\\{quote}"));
            }
            0x20..=0x7e => out.push(char::from(*byte)),
            byte => write_display(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
}

const fn quote(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn write_display(out: &mut String, part: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{part}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_python_shows_them() {
        for (value, expected) in [
            (Value::Nil, "None"),
            (true.into(), "True"),
            (Value::Unsigned(7), "7"),
            (Value::Signed(-7), "-7"),
            (Value::Float(1.0), "1.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(0.0001), "0.0001"),
            (Value::Float(0.00001), "1e-05"),
            (Value::Float(1.5e-7), "1.5e-07"),
            (Value::Float(1e15), "1000000000000000.0"),
            (Value::Float(1e16), "1e+16"),
            (Value::Float(-1.25e100), "-1.25e+100"),
            (Value::Float(f64::INFINITY), "inf"),
            ("it's".into(), "\"it's\""),
            ("it's \"so\"".into(), "'it\\'s \"so\"'"),
            (
                "a\\b\n\u{1}\u{a0}\u{2028}é".into(),
                "'a\\\\b\\n\\x01\\xa0\\u2028é'",
            ),
            (Value::Raw(vec![0xff, b'a', b'\'']), "b\"\\xffa'\""),
            (Value::Array(vec![Value::Nil, "x".into()]), "[None, 'x']"),
            (
                Value::map([("a", Value::Unsigned(1)), ("b", Value::Array(vec![]))]),
                "{'a': 1, 'b': []}",
            ),
        ] {
            assert_eq!(repr(&value), expected);
        }
        assert_eq!(text(&"plain".into()), "plain");
        assert_eq!(text(&false.into()), "False");
    }

    #[test]
    fn integers_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("12", Some(12)),
            (" -3\n", Some(-3)),
            ("+1_000", Some(1000)),
            ("007", Some(7)),
            ("", None),
            ("1.0", None),
            ("_1", None),
            ("1__2", None),
            ("0x10", None),
            ("--1", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }
}
