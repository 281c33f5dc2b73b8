//! One option at a time: taken out of the table, checked, or complained about.
//!
//! Salt warns about a value of the wrong type and goes on with it until something breaks (Salt
//! 3008.5, `salt/config/__init__.py`, `_validate_opts`); here it is an error that says where the
//! value stands. What is left in the table at the end is what this minion does not know.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::ConfigError;
use crate::salt_config::{Entry, Table};

/// The options that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Options(Table);

impl Options {
    pub(super) const fn new(table: Table) -> Self {
        Self(table)
    }

    /// Takes an option; one without a value is as good as none.
    pub(super) fn take(&mut self, option: &'static str) -> Result<Option<Found>, ConfigError> {
        let Some(Entry { value, file }) = self.0.remove(option) else {
            return Ok(None);
        };
        if value.is_null() {
            return Ok(None);
        }
        let found = Found {
            option,
            value,
            file: file.to_path_buf(),
        };
        if found
            .value
            .as_str()
            .is_some_and(|t| t.starts_with("sdb://"))
        {
            return Err(found.refused(
                "is an sdb:// address, which only Salt itself can resolve; write the value into a \
                 file in minion.d that only root can read",
            ));
        }
        Ok(Some(found))
    }

    /// `True` or `False`.
    pub(super) fn boolean(&mut self, option: &'static str) -> Result<Option<bool>, ConfigError> {
        self.parse(option, "True or False", |value| value.as_bool())
    }

    /// A text.
    pub(super) fn text(&mut self, option: &'static str) -> Result<Option<String>, ConfigError> {
        self.parse(option, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A text that is not empty; an empty one counts as none, as Salt's own defaults are empty.
    pub(super) fn word(&mut self, option: &'static str) -> Result<Option<String>, ConfigError> {
        Ok(self.text(option)?.filter(|text| !text.is_empty()))
    }

    /// A text that means something else.
    pub(super) fn parsed<T>(
        &mut self,
        option: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.take(option)? {
            None => Ok(None),
            Some(found) if found.value.as_str() == Some("") => Ok(None),
            Some(found) => match found.value.as_str().and_then(parse) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(found.unexpected(expected)),
            },
        }
    }

    /// A list of texts.
    pub(super) fn texts(
        &mut self,
        option: &'static str,
    ) -> Result<Option<Vec<String>>, ConfigError> {
        self.parse(option, "a list of texts", texts)
    }

    /// Seconds, whole or not.
    pub(super) fn seconds(
        &mut self,
        option: &'static str,
    ) -> Result<Option<Duration>, ConfigError> {
        self.parse(option, "seconds from 0 up", |value| span(value, 1.0))
    }

    /// Minutes.
    pub(super) fn minutes(
        &mut self,
        option: &'static str,
    ) -> Result<Option<Duration>, ConfigError> {
        self.parse(option, "minutes from 0 up", |value| span(value, 60.0))
    }

    /// A whole number from zero up.
    pub(super) fn count(&mut self, option: &'static str) -> Result<Option<u32>, ConfigError> {
        self.parse(option, "a whole number from 0 up", |value| {
            value.as_u64().and_then(|number| u32::try_from(number).ok())
        })
    }

    /// A whole number; what is not above zero, Salt's word for no limit, is none.
    pub(super) fn limit(&mut self, option: &'static str) -> Result<Option<u32>, ConfigError> {
        let number = self.parse(option, "a whole number", Value::as_i64)?;
        match number {
            Some(number) if number > i64::from(u32::MAX) => Ok(Some(u32::MAX)),
            Some(number) => Ok(u32::try_from(number).ok().filter(|number| *number > 0)),
            None => Ok(None),
        }
    }

    /// A port; 0 is none. Salt takes a text of digits as well: `VALID_OPTS` has `(str, int)`.
    pub(super) fn port(&mut self, option: &'static str) -> Result<Option<NonZeroU16>, ConfigError> {
        let number = self.parse(option, "a port from 0 to 65535", |value| match value {
            Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
            Value::String(text) => text.parse::<u16>().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })?;
        Ok(number.and_then(NonZeroU16::new))
    }

    /// Takes an option and makes something of it.
    pub(super) fn parse<T>(
        &mut self,
        option: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.take(option)? {
            None => Ok(None),
            Some(found) => match parse(&found.value) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(found.unexpected(expected)),
            },
        }
    }

    /// Drops options that have had their effect already.
    pub(super) fn drop(&mut self, options: &[&str]) {
        for option in options {
            self.0.remove(option);
        }
    }

    /// The names of what nobody has asked for. Salt has no option whose name begins like ours, so
    /// such a one is misspelled.
    pub(super) fn left(self) -> Result<Vec<String>, ConfigError> {
        let own = self
            .0
            .iter()
            .find(|(name, _)| name.starts_with("mastersign_"));
        if let Some((name, entry)) = own {
            return Err(ConfigError::Misspelled {
                option: name.to_owned(),
                file: entry.file.to_path_buf(),
            });
        }
        let names = self.0.iter();
        Ok(names.map(|(name, _)| name.to_owned()).collect())
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) option: &'static str,
    pub(super) value: Value,
    file: PathBuf,
}

impl Found {
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The value is none that this option can have.
    pub(super) fn unexpected(self, expected: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            option: self.option,
            found: shown(&self.value),
            file: self.file,
            expected: expected.into(),
        }
    }

    /// The value is one that Salt takes and we do not.
    pub(super) fn refused(self, reason: &'static str) -> ConfigError {
        ConfigError::Refused {
            option: self.option,
            file: self.file,
            reason,
        }
    }
}

/// A list of texts, or none if it is anything else.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn span(value: &Value, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()? * unit).ok()
}

/// A value for people: a scalar as it is, if it is short; of anything else, what it is.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.len() <= LONGEST_SHOWN => format!("the text {text:?}"),
        Value::String(text) => format!("a text of {} bytes", text.len()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => format!("a mapping of {}", map.len()),
    }
}

/// What is longer is no option of ours but something that went astray, perhaps a key.
const LONGEST_SHOWN: usize = 64;
