//! What a plain word in a YAML file is.
//!
//! `PyYAML` 6, `yaml/resolver.py`, has a regular expression for each type, and these are they. Salt
//! 3008.5, `salt/utils/yamlloader.py`, `construct_scalar`, takes leading zeros off before Python
//! could take the number for an octal one.

use crate::wire::msgpack::Value;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => Value::Nil,
        other => {
            let number = float(other).or_else(|| integer(other));
            number.unwrap_or_else(|| other.into())
        }
    }
}

fn integer(text: &str) -> Option<Value> {
    let (sign, body) = signed(text);
    let number = if let Some(digits) = body.strip_prefix("0b") {
        radix(digits, 2)
    } else if let Some(digits) = body.strip_prefix("0x") {
        radix(digits, 16)
    } else if body == "0" {
        Some(0)
    } else if let Some(digits) = body.strip_prefix('0') {
        // Salt looks at the first character, which a sign takes the place of.
        let octal = radix(digits, 8);
        let unsigned = text.starts_with('0');
        octal.and_then(|octal| {
            if unsigned {
                radix(digits, 10)
            } else {
                Some(octal)
            }
        })
    } else if body.contains(':') {
        sixties(body)
    } else {
        radix(body, 10)
    };
    let number = i128::try_from(number?).ok()?.checked_mul(sign)?;
    // Python's integers have no end; what is larger than ours is kept as it is written.
    let small = i64::try_from(number).map(Value::from);
    let number = small.or_else(|_| u64::try_from(number).map(Value::from));
    Some(number.unwrap_or_else(|_| text.into()))
}

/// Digits and underscores, at least one of them a digit.
fn radix(digits: &str, base: u32) -> Option<u128> {
    let fits = |c: char| c == '_' || c.is_digit(base);
    if !digits.chars().all(fits) {
        return None;
    }
    u128::from_str_radix(&digits.replace('_', ""), base).ok()
}

/// `1:30` is ninety.
fn sixties(text: &str) -> Option<u128> {
    let mut parts = text.split(':');
    let first = parts
        .next()
        .filter(|first| first.starts_with(|c| ('1'..='9').contains(&c)))?;
    parts.try_fold(radix(first, 10)?, |sum, part| {
        sum.checked_mul(60)?.checked_add(sixtieth(part)?.into())
    })
}

fn sixtieth(part: &str) -> Option<u8> {
    let plain = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let number: u8 = part.parse().ok().filter(|_| plain)?;
    (number < 60).then_some(number)
}

fn float(text: &str) -> Option<Value> {
    let (sign, body) = signed(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        let infinity = f64::INFINITY;
        return Some(Value::Float(if sign < 0 { -infinity } else { infinity }));
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Value::Float(f64::NAN));
    }
    let (whole, rest) = body.split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let digits = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_digit());
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    // The exponent must have a sign: 1.0e3 is a text.
    let power = match exponent {
        None => true,
        Some(text) => text
            .strip_prefix(['+', '-'])
            .is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())),
    };
    if !digits(fraction) || !power {
        return None;
    }
    let clean = |text: &str| text.replace('_', "");
    let value: f64 = if whole.is_empty() {
        if !begins(fraction) || text != body {
            return None;
        }
        clean(text).parse().ok()?
    } else if let Some((first, others)) = whole.split_once(':') {
        if !begins(first) || !digits(first) || exponent.is_some() {
            return None;
        }
        let start: f64 = clean(first).parse().ok()?;
        let whole = others.split(':').try_fold(start, |sum, part| {
            sixtieth(part).map(|part| sum.mul_add(60.0, f64::from(part)))
        })?;
        whole + format!("0.{}", clean(fraction)).parse::<f64>().ok()?
    } else {
        if !begins(whole) || !digits(whole) {
            return None;
        }
        clean(body).parse().ok()?
    };
    let sign = if sign < 0 { -1.0 } else { 1.0 };
    Some(Value::Float(sign * value))
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}
