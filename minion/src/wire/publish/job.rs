//! The job in a publication, as types.
//!
//! A target that we do not understand is kept as such rather than refused: the master asked other
//! minions too, and for us it means "not you".

use std::fmt;
use std::str::FromStr;

use super::super::msgpack::{FieldError, Fields, Value};

/// A job that a master published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Rises with every publication of the master's process.
    pub serial: u64,
    /// The job's name.
    pub jid: Jid,
    /// What to run.
    pub function: Function,
    /// Who is meant.
    pub target: Target,
    /// Where else the return goes; empty for nowhere.
    pub ret: String,
    /// Who asked for it.
    pub user: String,
    /// The whole map as it came: a function that takes any named argument is handed all of it, and
    /// a job under way is shown by it.
    pub load: Value,
}

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// One function.
    One(Call),
    /// Several, one after the other (`salt '*' test.ping,test.version`).
    Several(Vec<Call>),
}

/// A function and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name.
    pub name: String,
    /// The arguments; a map with `__kwarg__` holds named ones.
    pub arguments: Vec<Value>,
}

/// Which minions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A shell pattern over ids.
    Glob(String),
    /// A grain and a pattern over its value.
    Grain {
        /// `grain:pattern`.
        expression: String,
        /// What stands between the two.
        delimiter: String,
    },
    /// Ids.
    List(Vec<String>),
    /// Any other kind.
    Other(String),
    /// A Python regular expression over ids.
    Pcre(String),
}

impl Publication {
    /// The map that the return must bring back, if the publication has one.
    ///
    /// Salt 3008.5, `salt/minion.py`, `_thread_return`: what is no map is ignored.
    #[must_use]
    pub fn metadata(&self) -> Option<Value> {
        let Value::Map(fields) = &self.load else {
            return None;
        };
        let (_, metadata) = fields
            .iter()
            .find(|(name, _)| name.as_text() == Some("metadata"))?;
        matches!(metadata, Value::Map(_)).then(|| metadata.clone())
    }
}

impl TryFrom<Value> for Publication {
    type Error = FieldError;

    /// Reads the map that a master sealed. Who sealed it and when is not told by the map:
    /// [`Publications`](super::Publications) knows.
    fn try_from(load: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::new(load.clone())?;
        let jid = fields
            .text("jid")?
            .parse()
            .map_err(|_| FieldError::Wrong("jid"))?;
        Ok(Self {
            serial: fields.unsigned("serial")?,
            jid,
            function: Function::parse(&mut fields)?,
            target: Target::parse(&mut fields)?,
            ret: text_or_empty(&mut fields, "ret")?,
            user: text_or_empty(&mut fields, "user")?,
            load,
        })
    }
}

impl Function {
    fn parse(load: &mut Fields) -> Result<Self, FieldError> {
        let fun = load.take("fun").ok_or(FieldError::Missing("fun"))?;
        let arguments = match load.take("arg") {
            Some(Value::Array(arguments)) => arguments,
            Some(_) => return Err(FieldError::Wrong("arg")),
            None => return Err(FieldError::Missing("arg")),
        };
        let Value::Array(names) = fun else {
            let name = fun.as_text().ok_or(FieldError::Wrong("fun"))?.to_owned();
            return Ok(Self::One(Call { name, arguments }));
        };
        // Salt 3008.5, salt/minion.py, Minion._thread_multi_return: one list of arguments for each
        // function.
        if names.len() != arguments.len() {
            return Err(FieldError::Wrong("arg"));
        }
        let calls = names.iter().zip(arguments).map(|(name, arguments)| {
            let name = name.as_text().ok_or(FieldError::Wrong("fun"))?.to_owned();
            let Value::Array(arguments) = arguments else {
                return Err(FieldError::Wrong("arg"));
            };
            Ok(Call { name, arguments })
        });
        calls.collect::<Result<_, _>>().map(Self::Several)
    }
}

impl Target {
    fn parse(load: &mut Fields) -> Result<Self, FieldError> {
        // Salt 3008.5, salt/minion.py, Minion._target_load: without a kind it is a glob.
        let kind = load
            .optional_text("tgt_type")?
            .unwrap_or_else(|| "glob".to_owned());
        let target = load.take("tgt").ok_or(FieldError::Missing("tgt"))?;
        if kind == "list" {
            return ids(&target).map(Self::List).ok_or(FieldError::Wrong("tgt"));
        }
        let Some(expression) = target.as_text().map(str::to_owned) else {
            return Ok(Self::Other(kind));
        };
        Ok(match kind.as_str() {
            "glob" => Self::Glob(expression),
            "pcre" => Self::Pcre(expression),
            "grain" => {
                let delimiter = load.optional_text("delimiter")?;
                let delimiter = delimiter.unwrap_or_else(|| ":".to_owned());
                Self::Grain {
                    expression,
                    delimiter,
                }
            }
            _ => Self::Other(kind),
        })
    }
}

/// Salt 3008.5, `salt/matchers/list_match.py`: a list, or a text with commas.
fn ids(target: &Value) -> Option<Vec<String>> {
    if let Value::Array(ids) = target {
        return ids
            .iter()
            .map(|id| id.as_text().map(str::to_owned))
            .collect();
    }
    let ids = target.as_text()?;
    Some(ids.split(',').map(str::to_owned).collect())
}

fn text_or_empty(load: &mut Fields, name: &'static str) -> Result<String, FieldError> {
    match load.take(name) {
        None | Some(Value::Nil) => Ok(String::new()),
        Some(value) => value
            .as_text()
            .map(str::to_owned)
            .ok_or(FieldError::Wrong(name)),
    }
}

/// A job's name: the time it was made at in twenty digits, and with `unique_jid` the process that
/// made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jid(String);

impl Jid {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Jid {
    type Err = BadJid;

    /// Salt 3008.5, `salt/utils/jid.py`, `is_jid` and `gen_jid`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, process) = text.split_once('_').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if time.len() == 20 && process.len() <= 20 && digits(time) && digits(process) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadJid)
        }
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no job's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a jid is twenty digits, and may have _ and the number of a process after them")]
pub struct BadJid;
