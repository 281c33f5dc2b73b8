//! YAML as Salt's loader reads it.
//!
//! Salt loads its configuration with `PyYAML`, which knows YAML 1.1 by rules of its own, and
//! changes some of them (Salt 3008.5, `salt/utils/yamlloader.py`): `0750` is 750, a date is a text,
//! and a key that is there twice is an error. An `id: 007` must be the same minion under both
//! programs, so the events of a parser are made into values here; a library that makes values makes
//! those of YAML 1.2. The values are those of the wire, as an argument of a job is read the same
//! way and a key need not be a text.

mod json;
mod scalar;

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::wire::msgpack::Value;

pub use json::{python_str, to_json};

/// Why a text is no document, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} (line {line})")]
pub struct Mistake {
    /// The line, from 1.
    line: usize,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("a key that is a list or a mapping")]
    Key,
    #[error("`<<` without a mapping")]
    Merge,
    #[error("a second document")]
    Second,
    #[error("not YAML")]
    Syntax,
    #[error("a tag that Salt does not load")]
    Tag,
    #[error("more values, or deeper ones, than any configuration needs")]
    TooMuch,
    #[error("a key that is there twice")]
    Twice,
}

/// Reads a text of one document; nothing at all is null.
///
/// # Errors
///
/// Names the line and what is wrong there, and quotes nothing.
pub fn load(text: &str) -> Result<Value, Mistake> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text.trim_start_matches('\u{feff}')),
        anchors: HashMap::new(),
        left: MOST_VALUES,
        line: 1,
    };
    let mut document = None;
    while let Some(event) = composer.next()? {
        match event {
            Event::DocumentStart(..) if document.is_some() => {
                return Err(composer.fail(Why::Second));
            }
            Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::MappingStart(..)
            | Event::Alias(_) => {
                document = Some(composer.value(event, 0)?);
            }
            _ => {}
        }
    }
    Ok(document.unwrap_or(Value::Nil))
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    left: usize,
    line: usize,
}

impl<'a> Composer<'a> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<Event<'a>>, Mistake> {
        loop {
            let Some(next) = self.parser.next_event() else {
                return Ok(None);
            };
            let (event, span): (Event<'a>, Span) = next.map_err(|error: ScanError| Mistake {
                line: error.marker().line(),
                why: Why::Syntax,
            })?;
            self.line = span.start.line();
            if !matches!(event, Event::Comment(..)) {
                return Ok(Some(event));
            }
        }
    }

    fn inner(&mut self) -> Result<Event<'a>, Mistake> {
        self.next()?.ok_or_else(|| self.fail(Why::Syntax))
    }

    const fn fail(&self, why: Why) -> Mistake {
        Mistake {
            line: self.line,
            why,
        }
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, Mistake> {
        self.spend(1)?;
        if depth > MOST_LEVELS {
            return Err(self.fail(Why::TooMuch));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value = value.ok_or_else(|| self.fail(Why::Syntax))?;
                self.spend(size(&value))?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref())?;
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check(tag.as_deref(), "seq")?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check(tag.as_deref(), "map")?;
                (self.mapping(depth)?, anchor)
            }
            _ => return Err(self.fail(Why::Syntax)),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// Counts values, so that a short file of aliases cannot become a large one.
    fn spend(&mut self, values: usize) -> Result<(), Mistake> {
        let left = self.left.checked_sub(values);
        self.left = left.ok_or_else(|| self.fail(Why::TooMuch))?;
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Mistake> {
        let Some(tag) = tag else {
            return match (style, text) {
                // PyYAML gives it a tag of its own that no loader knows.
                (ScalarStyle::Plain, "=") => Err(self.fail(Why::Tag)),
                (ScalarStyle::Plain, _) => Ok(scalar::resolve(text)),
                _ => Ok(text.into()),
            };
        };
        match core(tag) {
            Some("str" | "timestamp") => Ok(text.into()),
            Some("int" | "float" | "bool" | "null") => Ok(scalar::resolve(text)),
            // `!` alone makes a text of anything.
            None if [tag.handle(), tag.suffix()].concat() == "!" => Ok(text.into()),
            Some(_) | None => Err(self.fail(Why::Tag)),
        }
    }

    fn check(&self, tag: Option<&Tag>, kind: &str) -> Result<(), Mistake> {
        match tag {
            Some(tag) if core(tag) != Some(kind) => Err(self.fail(Why::Tag)),
            Some(_) | None => Ok(()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut list = Vec::new();
        loop {
            match self.inner()? {
                Event::SequenceEnd => return Ok(Value::Array(list)),
                event => list.push(self.value(event, depth.saturating_add(1))?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Mistake> {
        let (mut map, mut merged) = (Mapping::default(), Mapping::default());
        loop {
            let event = self.inner()?;
            let merges =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.value(event, depth.saturating_add(1))?;
            let fail = self.fail(Why::Twice);
            let value = self.inner()?;
            let value = self.value(value, depth.saturating_add(1))?;
            if merges {
                self.merge(&mut merged, value)?;
                continue;
            }
            if matches!(key, Value::Array(_) | Value::Map(_)) {
                return Err(self.fail(Why::Key));
            }
            if !map.add(key, value) {
                return Err(fail);
            }
        }
        // What the mapping says itself wins, wherever `<<` stands in it.
        for (key, value) in merged.entries {
            map.add(key, value);
        }
        Ok(Value::Map(map.entries))
    }

    /// The mappings behind `<<`; of several the first wins.
    fn merge(&self, into: &mut Mapping, value: Value) -> Result<(), Mistake> {
        let maps = match value {
            map @ Value::Map(_) => vec![map],
            Value::Array(list) => list,
            Value::Nil
            | Value::Bool(_)
            | Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Float(_)
            | Value::Raw(_)
            | Value::Extension(..) => Vec::new(),
        };
        if maps.is_empty() {
            return Err(self.fail(Why::Merge));
        }
        for map in maps {
            let Value::Map(map) = map else {
                return Err(self.fail(Why::Merge));
            };
            for (key, value) in map {
                into.add(key, value);
            }
        }
        Ok(())
    }
}

/// Entries in the order of the text, no key twice.
#[derive(Default)]
struct Mapping {
    entries: Vec<(Value, Value)>,
    keys: HashSet<Key>,
}

impl Mapping {
    /// Adds an entry, unless its key is there already.
    fn add(&mut self, key: Value, value: Value) -> bool {
        let new = self.keys.insert(Key::of(&key));
        if new {
            self.entries.push((key, value));
        }
        new
    }
}

/// What makes two keys one to Python, where `1`, `1.0` and `True` are equal.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Number(i128),
    Other(String),
    Text(Vec<u8>),
}

impl Key {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(truth) => Self::Number((*truth).into()),
            Value::Unsigned(number) => Self::Number((*number).into()),
            Value::Signed(number) => Self::Number((*number).into()),
            Value::Raw(text) => Self::Text(text.clone()),
            // A float without a fraction is written like the integer that it equals.
            Value::Float(number) => {
                let text = number.to_string();
                text.parse().map_or(Self::Other(text), Self::Number)
            }
            Value::Nil | Value::Array(_) | Value::Map(_) | Value::Extension(..) => {
                Self::Other(format!("{value:?}"))
            }
        }
    }
}

/// The name of one of YAML's own types.
fn core(tag: &Tag) -> Option<&str> {
    (tag.handle() == "tag:yaml.org,2002:").then(|| tag.suffix())
}

fn size(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Map(map) => map.iter().map(|(_, value)| size(value)).sum(),
        Value::Nil
        | Value::Bool(_)
        | Value::Unsigned(_)
        | Value::Signed(_)
        | Value::Float(_)
        | Value::Raw(_)
        | Value::Extension(..) => 0,
    };
    inner.saturating_add(1)
}

/// The stock file with every line uncommented has some 300.
const MOST_VALUES: usize = 100_000;
const MOST_LEVELS: usize = 64;

#[cfg(test)]
mod tests;
