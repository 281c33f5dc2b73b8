//! Python's `fnmatch`, by which Salt matches ids, grains, function names, and the files of an `include`.
//!
//! Not a glob crate: they read `{a,b}`, `**`, `[^x]` or `\*` as something, `fnmatch` takes them
//! literally. The cost is bounded by pattern times text: only the last star is ever tried again.

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Literal(char),
    /// Ranges of characters; a single one is a range of itself.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Star,
}

/// Whether the whole text matches; upper and lower case differ, as on every system but Windows.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let parts = parse(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut part, mut at) = (0_usize, 0_usize);
    // Where to go on when what follows the last star does not fit: one character further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let fits = match (parts.get(part), text.get(at)) {
            (None, None) => return true,
            (Some(Part::Star), _) => {
                part = part.saturating_add(1);
                retry = Some((part, at));
                continue;
            }
            (Some(wanted), Some(c)) => wanted.is(*c),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if fits {
            part = part.saturating_add(1);
            at = at.saturating_add(1);
            continue;
        }
        let Some((after_star, tried)) = retry else {
            return false;
        };
        if tried >= text.len() {
            return false;
        }
        let next = tried.saturating_add(1);
        retry = Some((after_star, next));
        (part, at) = (after_star, next);
    }
}

impl Part {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => *literal == c,
            Self::Set { negated, ranges } => {
                let found = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                found != *negated
            }
            Self::Star => false,
        }
    }
}

/// Python 3.11, `Lib/fnmatch.py`, `translate`.
fn parse(pattern: &str) -> Vec<Part> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut parts = Vec::with_capacity(pattern.len());
    let mut rest = pattern.as_slice();
    while let Some((c, after)) = rest.split_first() {
        rest = after;
        parts.push(match c {
            '*' => Part::Star,
            '?' => Part::Any,
            '[' => match set(rest) {
                Some((part, after)) => {
                    rest = after;
                    part
                }
                None => Part::Literal('['),
            },
            c => Part::Literal(*c),
        });
    }
    // Each star costs a retry, and one of several in a row says it all.
    parts.dedup_by(|next, previous| *next == Part::Star && *previous == Part::Star);
    parts
}

/// The set that begins after its bracket, and what follows it; none if it does not end.
fn set(rest: &[char]) -> Option<(Part, &[char])> {
    let (negated, body) = match rest.split_first() {
        Some(('!', body)) => (true, body),
        _ => (false, rest),
    };
    // A bracket that comes first is a member of the set.
    let from = usize::from(body.first() == Some(&']'));
    let length = body
        .iter()
        .skip(from)
        .position(|c| *c == ']')?
        .saturating_add(from);
    let (members, after) = body.split_at_checked(length)?;
    let after = after.get(1..)?;
    let ranges = ranges(members);
    Some((Part::Set { negated, ranges }, after))
}

/// The members of a set: a hyphen makes a range unless it comes first or last, or a range has just
/// ended; a range that runs backwards is empty.
fn ranges(members: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut rest = members;
    loop {
        rest = match rest {
            [] => return ranges,
            [low, '-', high, after @ ..] => {
                if low <= high {
                    ranges.push((*low, *high));
                }
                after
            }
            [c, after @ ..] => {
                ranges.push((*c, *c));
                after
            }
        };
    }
}
