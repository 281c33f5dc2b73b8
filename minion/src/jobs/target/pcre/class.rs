//! A set of characters: every member is written out as its code, since the two syntaxes give other
//! meanings to `[`, `&&`, `--` and `~~` inside of one.

use std::iter::Peekable;
use std::str::Chars;

use super::escape::{Escape, shared};
use super::{BadPattern, literal};

/// The set that begins after its bracket.
pub(super) fn translate(input: &mut Peekable<Chars<'_>>) -> Result<String, BadPattern> {
    let mut out = String::from("[");
    if input.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        match input.next().ok_or(BadPattern::Syntax)? {
            ']' if !first => {
                out.push(']');
                return Ok(out);
            }
            c => member(&mut out, c, input)?,
        }
        first = false;
    }
}

/// A character, a range or a kind.
fn member(out: &mut String, c: char, input: &mut Peekable<Chars<'_>>) -> Result<(), BadPattern> {
    let low = match one(c, input)? {
        Escape::Kind(kind) => {
            out.push_str(kind);
            return if begins_range(input) {
                Err(BadPattern::Syntax)
            } else {
                Ok(())
            };
        }
        Escape::Char(low) => low,
    };
    literal(out, low);
    if !begins_range(input) {
        return Ok(());
    }
    input.next();
    let c = input.next().ok_or(BadPattern::Syntax)?;
    match one(c, input)? {
        Escape::Char(high) if low <= high => {
            out.push('-');
            literal(out, high);
            Ok(())
        }
        Escape::Char(_) | Escape::Kind(_) => Err(BadPattern::Syntax),
    }
}

fn one(c: char, input: &mut Peekable<Chars<'_>>) -> Result<Escape, BadPattern> {
    if c != '\\' {
        return Ok(Escape::Char(c));
    }
    if input.next_if_eq(&'b').is_some() {
        return Ok(Escape::Char('\u{8}'));
    }
    shared(input)
}

/// A hyphen that is not the last of the set.
fn begins_range(input: &Peekable<Chars<'_>>) -> bool {
    let mut ahead = input.clone();
    ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']')
}
