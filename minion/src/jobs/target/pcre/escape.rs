//! What follows a backslash.

use std::iter::Peekable;
use std::str::Chars;

use super::{BadPattern, Last, literal};

/// A character or a kind of character.
pub(super) enum Escape {
    Char(char),
    /// `\d` and the like, in the form that is understood in and out of a set.
    Kind(&'static str),
}

/// An escape outside of a set, after so many groups.
pub(super) fn outside(
    input: &mut Peekable<Chars<'_>>,
    groups: usize,
) -> Result<(String, Last), BadPattern> {
    let c = *input.peek().ok_or(BadPattern::Syntax)?;
    let anchor = match c {
        'A' => Some("\\A"),
        'Z' => Some("\\z"),
        'b' => Some("\\b"),
        'B' => Some("\\B"),
        _ => None,
    };
    if let Some(anchor) = anchor {
        input.next();
        return Ok((anchor.to_owned(), Last::Nothing));
    }
    if let Some(group) = back_reference(input) {
        if group.parse::<usize>().is_ok_and(|group| group > groups) {
            return Err(BadPattern::Syntax);
        }
        return Ok((format!("(?:\\{group})"), Last::Atom));
    }
    let text = match shared(input)? {
        Escape::Char(c) => {
            let mut text = String::new();
            literal(&mut text, c);
            text
        }
        Escape::Kind(kind) => format!("[{kind}]"),
    };
    Ok((text, Last::Atom))
}

/// An escape that means the same in and out of a set.
pub(super) fn shared(input: &mut Peekable<Chars<'_>>) -> Result<Escape, BadPattern> {
    Ok(match input.next().ok_or(BadPattern::Syntax)? {
        'a' => Escape::Char('\u{7}'),
        'f' => Escape::Char('\u{c}'),
        'n' => Escape::Char('\n'),
        'r' => Escape::Char('\r'),
        't' => Escape::Char('\t'),
        'v' => Escape::Char('\u{b}'),
        'd' => Escape::Kind("\\d"),
        'D' => Escape::Kind("\\D"),
        // str.isspace has four control characters more than Unicode's White_Space.
        's' => Escape::Kind("\\s\\x1c-\\x1f"),
        'S' => Escape::Kind("[^\\s\\x1c-\\x1f]"),
        'w' => Escape::Kind("\\w"),
        'W' => Escape::Kind("\\W"),
        'x' => Escape::Char(hexadecimal(input, 2)?),
        'u' => Escape::Char(hexadecimal(input, 4)?),
        'U' => Escape::Char(hexadecimal(input, 8)?),
        c @ '0'..='7' => Escape::Char(octal(input, c)?),
        // Python: "bad escape" for every other letter and digit, `\N` apart.
        'N' => return Err(BadPattern::Unsupported),
        c if c.is_ascii_alphanumeric() => return Err(BadPattern::Syntax),
        c => Escape::Char(c),
    })
}

/// `\1` to `\99`; three octal digits are a character.
fn back_reference(input: &mut Peekable<Chars<'_>>) -> Option<String> {
    let ahead: Vec<char> = input.clone().take(3).collect();
    let octal = ahead.len() == 3 && ahead.iter().all(|c| ('0'..='7').contains(c));
    if octal || !ahead.first().is_some_and(|c| ('1'..='9').contains(c)) {
        return None;
    }
    let mut group = String::new();
    while let Some(digit) = input.next_if(|c| c.is_ascii_digit() && group.len() < 2) {
        group.push(digit);
    }
    Some(group)
}

fn hexadecimal(input: &mut Peekable<Chars<'_>>, digits: usize) -> Result<char, BadPattern> {
    let text: String = input.by_ref().take(digits).collect();
    let well_formed = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = u32::from_str_radix(&text, 16).ok().filter(|_| well_formed);
    code.and_then(char::from_u32).ok_or(BadPattern::Syntax)
}

/// Up to three digits, the first of which is known.
fn octal(input: &mut Peekable<Chars<'_>>, first: char) -> Result<char, BadPattern> {
    let mut text = String::from(first);
    while let Some(digit) = input.next_if(|c| ('0'..='7').contains(c) && text.len() < 3) {
        text.push(digit);
    }
    // Python: above 0o377 there is no such escape.
    let code = u8::from_str_radix(&text, 8).map_err(|_| BadPattern::Syntax)?;
    Ok(char::from(code))
}
