//! Python's `re.match`: anchored at the start of the id, not at its end.
//!
//! The pattern is rewritten into the syntax of `fancy-regex`, which has the look-around and the
//! back references that `regex` lacks, and a limit on backtracking. Rewriting rather than passing
//! it on, because the two syntaxes share most characters and not their meaning: `$`, `\Z`, `[[a]`,
//! `[a&&b]` or `{,3}` would match other ids than on a stock minion. What Python would refuse or we
//! cannot say is refused.

mod class;
mod escape;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use fancy_regex::RegexBuilder;

/// How long a pattern may be.
const MAX_BYTES: usize = 4096;

/// How many groups may be open at once.
const MAX_DEPTH: usize = 50;

/// The product of all counts in braces: `(a{9}){9}` has 81. An id has 255 characters, and
/// `fancy-regex` 0.20 overflows on what is written to overflow it.
const MAX_REPEATS: usize = 100_000;

/// Steps of backtracking: an id has at most 255 bytes, so an honest pattern needs a few thousand.
const BACKTRACK_LIMIT: usize = 100_000;

/// Memory for the compiled pattern.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Whether the id matches, or why that is not found out.
pub(super) fn matches(pattern: &str, id: &str) -> Result<bool, BadPattern> {
    let translated = Translator::new(pattern)?.run()?;
    let regex = RegexBuilder::new(&translated)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|_| BadPattern::Syntax)?;
    regex.is_match(id).map_err(|_| BadPattern::TooCostly)
}

/// Why a pattern says nothing about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPattern {
    /// Not a pattern of Python's `re`.
    Syntax,
    /// Longer, deeper or more ambiguous than a target may be.
    TooCostly,
    /// Python's, but not supported here.
    Unsupported,
}

impl std::fmt::Display for BadPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "it is not a regular expression",
            Self::TooCostly => "it is too long or takes too long",
            Self::Unsupported => "it uses what this minion does not support",
        })
    }
}

struct Translator<'a> {
    input: Peekable<Chars<'a>>,
    out: String,
    depth: usize,
    /// Whether `^` and `$` are about lines: `(?m)`.
    lines: bool,
    /// How many groups have begun, and the names of those that have one: nothing may refer to
    /// another, and `fancy-regex` 0.20 panics at a condition on a group that is not there.
    groups: usize,
    names: BTreeSet<String>,
    /// The product of the counts so far.
    repeats: usize,
    /// Whether what came last can be repeated.
    last: Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A character, a set or a group.
    Atom,
    /// The beginning, an anchor or an alternative.
    Nothing,
    /// Something that is repeated already; `?` and `+` may still follow once.
    Repeat,
}

type Step = Result<(), BadPattern>;

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Result<Self, BadPattern> {
        if pattern.len() > MAX_BYTES {
            return Err(BadPattern::TooCostly);
        }
        Ok(Self {
            input: pattern.chars().peekable(),
            out: String::with_capacity(pattern.len()),
            depth: 0,
            lines: false,
            groups: 0,
            repeats: 1,
            names: BTreeSet::new(),
            last: Last::Nothing,
        })
    }

    fn run(mut self) -> Result<String, BadPattern> {
        let flags = self.leading_flags()?;
        while let Some(c) = self.input.next() {
            self.one(c)?;
        }
        if self.depth > 0 {
            return Err(BadPattern::Syntax);
        }
        Ok(format!("\\A(?{flags}:{})", self.out))
    }

    fn one(&mut self, c: char) -> Step {
        match c {
            '\\' => {
                let (text, last) = escape::outside(&mut self.input, self.groups)?;
                self.push(&text, last);
            }
            '[' => {
                let class = class::translate(&mut self.input)?;
                self.push(&class, Last::Atom);
            }
            '(' => self.open()?,
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or(BadPattern::Syntax)?;
                self.push(")", Last::Atom);
            }
            '|' => self.push("|", Last::Nothing),
            '^' if self.lines => self.push("(?m:^)", Last::Nothing),
            '$' if self.lines => self.push("(?m:$)", Last::Nothing),
            '^' => self.push("\\A", Last::Nothing),
            '$' => self.push("(?=\\n?\\z)", Last::Nothing),
            '.' => self.push(".", Last::Atom),
            '*' | '+' | '?' => self.repeat(c)?,
            '{' => self.braces()?,
            c => {
                let mut text = String::new();
                literal(&mut text, c);
                self.push(&text, Last::Atom);
            }
        }
        Ok(())
    }

    fn push(&mut self, text: &str, last: Last) {
        self.out.push_str(text);
        self.last = last;
    }

    /// `*`, `+`, `?`, and what makes a repeat lazy or possessive (Python 3.11).
    fn repeat(&mut self, c: char) -> Step {
        match (self.last, c) {
            (Last::Atom, c) => {
                self.out.push(c);
                self.modifier();
                self.last = Last::Repeat;
                Ok(())
            }
            (Last::Nothing | Last::Repeat, _) => Err(BadPattern::Syntax),
        }
    }

    fn modifier(&mut self) {
        if let Some(c) = self.input.next_if(|c| matches!(c, '?' | '+')) {
            self.out.push(c);
        }
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}`; any other brace is a brace.
    fn braces(&mut self) -> Step {
        let body: String = self.input.clone().take_while(|c| *c != '}').collect();
        let (low, high) = body.split_once(',').unwrap_or((&body, &body));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let closed = self.input.clone().nth(body.chars().count()) == Some('}');
        if !closed || body.is_empty() || !digits(low) || !digits(high) {
            self.push("\\{", Last::Atom);
            return Ok(());
        }
        if self.last != Last::Atom {
            return Err(BadPattern::Syntax);
        }
        for _ in 0..=body.chars().count() {
            self.input.next();
        }
        let counts = [low, high].into_iter().filter(|part| !part.is_empty());
        let mut largest = 1;
        for count in counts {
            let count: usize = count.parse().map_err(|_| BadPattern::TooCostly)?;
            largest = count.max(largest);
        }
        self.repeats = self.repeats.saturating_mul(largest);
        if self.repeats > MAX_REPEATS {
            return Err(BadPattern::TooCostly);
        }
        let low = if low.is_empty() { "0" } else { low };
        let _ = if body.contains(',') {
            write!(self.out, "{{{low},{high}}}")
        } else {
            write!(self.out, "{{{low}}}")
        };
        self.modifier();
        self.last = Last::Repeat;
        Ok(())
    }

    /// What follows an opening parenthesis, up to where the pattern goes on.
    fn open(&mut self) -> Step {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(BadPattern::TooCostly);
        }
        if self.input.next_if_eq(&'?').is_none() {
            self.groups = self.groups.saturating_add(1);
            self.push("(", Last::Nothing);
            return Ok(());
        }
        match self.input.next().ok_or(BadPattern::Syntax)? {
            c @ (':' | '=' | '!' | '>') => {
                let _ = write!(self.out, "(?{c}");
            }
            '<' => match self.input.next() {
                Some(c @ ('=' | '!')) => {
                    let _ = write!(self.out, "(?<{c}");
                }
                _ => return Err(BadPattern::Syntax),
            },
            'P' => return self.named(),
            '#' => {
                self.depth = self.depth.saturating_sub(1);
                return if self.input.any(|c| c == ')') {
                    Ok(())
                } else {
                    Err(BadPattern::Syntax)
                };
            }
            '(' => {
                let group = self.until(')')?;
                let group = reference(&group)?;
                let _ = if let Ok(number) = group.parse::<usize>() {
                    if number == 0 || number > self.groups {
                        return Err(BadPattern::Unsupported);
                    }
                    write!(self.out, "(?({number})")
                } else if self.names.contains(group) {
                    write!(self.out, "(?(<{group}>)")
                } else {
                    return Err(BadPattern::Unsupported);
                };
            }
            c => {
                let flags = self.flags(c)?;
                if flags.end != ':' {
                    // Flags for the rest stand at the start, or Python refuses them.
                    return Err(BadPattern::Syntax);
                }
                if flags.lines {
                    return Err(BadPattern::Unsupported);
                }
                let _ = write!(self.out, "(?{}:", flags.text);
            }
        }
        self.last = Last::Nothing;
        Ok(())
    }

    /// `(?P<name>…)` and `(?P=name)`.
    fn named(&mut self) -> Step {
        match self.input.next() {
            Some('<') => {
                let name = self.until('>')?;
                let _ = write!(self.out, "(?P<{}>", reference(&name)?);
                let is_number = name.starts_with(|c: char| c.is_ascii_digit());
                if is_number || !self.names.insert(name) {
                    return Err(BadPattern::Syntax);
                }
                self.groups = self.groups.saturating_add(1);
                self.last = Last::Nothing;
            }
            Some('=') => {
                let name = self.until(')')?;
                self.depth = self.depth.saturating_sub(1);
                if !self.names.contains(&name) {
                    return Err(BadPattern::Syntax);
                }
                let _ = write!(self.out, "(?P={})", reference(&name)?);
                self.last = Last::Atom;
            }
            _ => return Err(BadPattern::Syntax),
        }
        Ok(())
    }

    fn until(&mut self, end: char) -> Result<String, BadPattern> {
        let mut text = String::new();
        loop {
            match self.input.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(BadPattern::Syntax),
            }
        }
    }

    /// `(?i)` and the like, which may stand in front of the pattern.
    fn leading_flags(&mut self) -> Result<String, BadPattern> {
        let mut all = String::new();
        loop {
            let mut ahead = self.input.clone();
            let opens = ahead.next() == Some('(') && ahead.next() == Some('?');
            let Some(first) = ahead.next().filter(|c| opens && c.is_ascii_lowercase()) else {
                return Ok(all);
            };
            let resume = std::mem::replace(&mut self.input, ahead);
            let flags = self.flags(first)?;
            if flags.end == ':' {
                self.input = resume;
                return Ok(all);
            }
            if flags.text.contains('-') {
                return Err(BadPattern::Syntax);
            }
            self.lines |= flags.lines;
            all.push_str(&flags.text);
        }
    }

    /// Flags up to the character that ends them.
    fn flags(&mut self, first: char) -> Result<Flags, BadPattern> {
        let (mut text, mut lines) = (String::new(), false);
        let mut next = Some(first);
        while let Some(c) = next {
            match c {
                'i' | 's' | '-' => text.push(c),
                'm' => lines = true,
                // Unicode is what text has anyway.
                'u' => {}
                ':' | ')' => {
                    return Ok(Flags {
                        text,
                        lines,
                        end: c,
                    });
                }
                'a' | 'L' | 'x' => return Err(BadPattern::Unsupported),
                _ => return Err(BadPattern::Syntax),
            }
            next = self.input.next();
        }
        Err(BadPattern::Syntax)
    }
}

struct Flags {
    text: String,
    lines: bool,
    end: char,
}

/// A group's name or number.
fn reference(name: &str) -> Result<&str, BadPattern> {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        Ok(name)
    } else {
        Err(BadPattern::Unsupported)
    }
}

/// Writes a character so that it has no meaning but itself.
fn literal(out: &mut String, c: char) {
    let _ = if c.is_ascii_alphanumeric() {
        write!(out, "{c}")
    } else {
        write!(out, "\\x{{{:x}}}", u32::from(c))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_takes_and_we_do_not_is_refused_by_name() {
        for pattern in [
            "(?(1)a|b)(w)",
            "(?(18)a|b)",
            "(?(n)a)",
            "(?x) web",
            "(?a)w",
            "(?L)w",
            "w(?m:$)",
            r"\N{DIGIT ONE}",
        ] {
            let verdict = matches(pattern, "web");
            assert_eq!(verdict, Err(BadPattern::Unsupported), "{pattern}");
        }
        for pattern in [
            "(",
            "w**",
            "w(?i)",
            r"\q",
            "[z-a]",
            "(?P<a>w)(?P<a>e)",
            "(?:)*w",
        ] {
            assert_eq!(
                matches(pattern, "web"),
                Err(BadPattern::Syntax),
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_pattern_that_never_ends_ends() {
        let id = "a".repeat(200);
        assert_eq!(matches(r"(a|aa)+\1?b", &id), Err(BadPattern::TooCostly));
        assert_eq!(matches(&"(".repeat(60), &id), Err(BadPattern::TooCostly));
        assert_eq!(matches(&"a".repeat(5000), &id), Err(BadPattern::TooCostly));
        let nested = "(?:".repeat(20) + "a" + &"{1000})".repeat(20);
        assert!(matches(&nested, &id).is_err());
    }
}
