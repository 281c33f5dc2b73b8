//! `grain:pattern`, with as many levels as the grain has.
//!
//! Salt 3008.5, `salt/utils/data.py`, `subdict_match`; the same code in 3006.30 and 3007.17. It
//! tries every place where the grain's name may end and the pattern begin, and `*:` in front of a
//! pattern goes down one level under whatever name.

use super::super::python::text;
use super::super::traverse::traverse;
use crate::fnmatch;
use crate::wire::msgpack::Value;

/// How many levels an expression may have. Grains nest no deeper than a message does, and each
/// level is a recursion.
const MAX_LEVELS: usize = 64;

/// How long an expression may be: each comparison goes through all of it.
const MAX_BYTES: usize = 1024;

/// How many comparisons a target may cost: the search for `*:*:…` grows with a power of the levels.
const MAX_COMPARISONS: u32 = 20_000;

/// Inside a nested map Salt goes on with its default delimiter, whatever the first one was.
const DEFAULT_DELIMITER: &str = ":";

/// Whether the grains match, or why that is not found out.
pub(super) fn matches(
    grains: &Value,
    expression: &str,
    delimiter: &str,
) -> Result<bool, Unmatched> {
    if delimiter.is_empty() || !expression.contains(delimiter) {
        return Err(Unmatched::NoDelimiter);
    }
    let levels = |delimiter| expression.split(delimiter).count();
    let too_deep = levels(delimiter).max(levels(DEFAULT_DELIMITER)) > MAX_LEVELS;
    if too_deep || expression.len() > MAX_BYTES {
        return Err(Unmatched::TooCostly);
    }
    let mut search = Search {
        left: MAX_COMPARISONS,
    };
    search
        .subdict(grains, expression, delimiter)
        .ok_or(Unmatched::TooCostly)
}

/// Why a target was not compared with the grains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmatched {
    /// No delimiter in the expression.
    NoDelimiter,
    /// Longer, deeper or with more comparisons than a target is worth.
    TooCostly,
}

struct Search {
    left: u32,
}

/// Every step is `None` when the search has cost too much.
impl Search {
    fn subdict(&mut self, data: &Value, expression: &str, delimiter: &str) -> Option<bool> {
        let splits: Vec<&str> = expression.split(delimiter).collect();
        for index in (1..splits.len()).rev() {
            let (name, rest) = splits.split_at_checked(index)?;
            let found = if name == ["*"] {
                self.value(data, expression)?
            } else {
                self.spend()?;
                let path = name.iter().map(|part| Value::from(*part));
                match traverse(data, path) {
                    Some(value) => self.value(value, &rest.join(delimiter))?,
                    None => false,
                }
            };
            if found {
                return Some(true);
            }
        }
        Some(false)
    }

    fn value(&mut self, value: &Value, pattern: &str) -> Option<bool> {
        match value {
            Value::Map(entries) if entries.is_empty() => Some(false),
            Value::Map(_) => self.dict(value, pattern),
            Value::Array(items) => {
                for item in items {
                    let nested = matches!(item, Value::Map(_)) && self.dict(item, pattern)?;
                    if nested || self.same(item, pattern)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            value => self.same(value, pattern),
        }
    }

    fn dict(&mut self, map: &Value, pattern: &str) -> Option<bool> {
        let Value::Map(entries) = map else {
            return Some(false);
        };
        let below = pattern.strip_prefix("*:");
        let pattern = below.unwrap_or(pattern);
        if pattern == "*" {
            return Some(true);
        }
        for (key, _) in entries {
            if key.as_text() == Some(pattern) || self.same(key, pattern)? {
                return Some(true);
            }
        }
        if self.subdict(map, pattern, DEFAULT_DELIMITER)? {
            return Some(true);
        }
        if below.is_none() {
            return Some(false);
        }
        for (_, value) in entries {
            let found = match value {
                Value::Map(_) => self.dict(value, pattern)?,
                Value::Array(items) => self.any(items, pattern)?,
                value => self.same(value, pattern)?,
            };
            if found {
                return Some(true);
            }
        }
        Some(false)
    }

    fn any(&mut self, items: &[Value], pattern: &str) -> Option<bool> {
        for item in items {
            if self.same(item, pattern)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Without regard to case, unlike ids.
    fn same(&mut self, value: &Value, pattern: &str) -> Option<bool> {
        self.spend()?;
        Some(fnmatch::matches(
            &pattern.to_lowercase(),
            &text(value).to_lowercase(),
        ))
    }

    fn spend(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }
}
