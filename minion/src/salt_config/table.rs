//! From texts to one table of options, with Salt's two ways of merging.
//!
//! Salt 3006.30, 3007.17 and 3008.5, `salt/config/__init__.py`, `include_config`: the files of one
//! include are merged with each other deeply and their lists appended
//! (`dictupdate.update(configuration, opts, True, True)`); the result overrides what was there
//! before by whole options (`overrides.update`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::file::{self, FileError};
use crate::yaml::python_str;

/// An option's value, and the file that had the last word about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The file.
    pub file: Arc<Path>,
}

/// Options by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(BTreeMap<String, Entry>);

impl Table {
    /// The value of an option, if it is there; it may be null.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&Value> {
        self.0.get(option).map(|entry| &entry.value)
    }

    /// Takes an option out.
    pub fn remove(&mut self, option: &str) -> Option<Entry> {
        self.0.remove(option)
    }

    /// All options in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0
            .iter()
            .map(|(option, entry)| (option.as_str(), entry))
    }

    /// The other's options take the place of ours: how an include is added to what was there.
    pub fn replace(&mut self, with: Self) {
        self.0.extend(with.0);
    }

    /// Merges another file of the same include into this one, part by part.
    pub fn merge(&mut self, with: Self) {
        for (option, entry) in with.0 {
            match self.0.get_mut(&option) {
                Some(ours) => {
                    merge_value(&mut ours.value, entry.value);
                    ours.file = entry.file;
                }
                None => {
                    self.0.insert(option, entry);
                }
            }
        }
    }
}

/// Parses the text of one file of options.
///
/// Salt 3008.5, `salt/config/__init__.py`, `_read_conf_file`.
///
/// # Errors
///
/// Fails if Salt would not read it; the error names `path`, which is not opened.
pub fn parse(path: &Path, text: &str) -> Result<Table, FileError> {
    let mut options = file::mapping(path, text)?;
    if let Some(id) = options.get_mut("id") {
        *id = Value::String(python_str(id));
    }
    let file: Arc<Path> = Arc::from(path);
    let options = options.into_iter().map(|(option, value)| {
        let file = Arc::clone(&file);
        (option, Entry { value, file })
    });
    Ok(Table(options.collect()))
}

/// Salt's `dictupdate.update` with `merge_lists`: mappings are merged, to a list what it does not
/// have is appended, anything else is replaced.
fn merge_value(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(ours), Value::Object(theirs)) => merge_maps(ours, theirs),
        (Value::Array(ours), Value::Array(theirs)) => {
            // What is there twice in the second list alone stays there twice, as in Salt.
            let new: Vec<Value> = theirs
                .into_iter()
                .filter(|item| !ours.contains(item))
                .collect();
            ours.extend(new);
        }
        (ours, theirs) => *ours = theirs,
    }
}

fn merge_maps(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match into.get_mut(&key) {
            Some(ours) => merge_value(ours, value),
            None => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
