//! From files to one table of options, in Salt's order and with Salt's two ways of merging.
//!
//! Salt 3006.30, 3007.17 and 3008.5, `salt/config/__init__.py`, `minion_config` and
//! `include_config`: the main file, then `default_include`, then the main file's `include`. The
//! files of one include are merged with each other deeply and their lists appended
//! (`dictupdate.update(configuration, opts, True, True)`); the result overrides what was there
//! before by whole options (`overrides.update`). One difference on purpose: a file that Salt would
//! log and skip is an error here.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::file::{self, FileError};
use super::pattern;

/// An option's value, and the file that had the last word about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) file: Arc<Path>,
}

/// Options by name.
pub(super) type Table = BTreeMap<String, Entry>;

/// Reads the main file and everything it includes; also says which files those were, in order.
pub(super) fn load(main: &Path) -> Result<(Table, Vec<PathBuf>), FileError> {
    let directory = main.parent().unwrap_or_else(|| Path::new("/"));
    if !directory.is_dir() {
        return Err(FileError::NoDirectory(directory.to_owned()));
    }
    let mut loader = Loader::default();
    // Salt 3008.5, salt/config/__init__.py, load_config: without the main file there are still
    // those of default_include.
    let mut options = loader.read(main)?.unwrap_or_default();
    let default_include = options.get("default_include").map_or_else(
        || Value::from("minion.d/*.conf"),
        |entry| entry.value.clone(),
    );
    let include = options.get("include").map(|entry| entry.value.clone());
    options.extend(loader.include(&default_include, main)?);
    options.extend(loader.include(&include.unwrap_or_default(), main)?);
    Ok((options, loader.sources))
}

#[derive(Default)]
struct Loader {
    sources: Vec<PathBuf>,
    open: Vec<PathBuf>,
}

impl Loader {
    fn include(&mut self, include: &Value, from: &Path) -> Result<Table, FileError> {
        let mut merged = Table::new();
        for path in paths(include, from)? {
            for file in pattern::matches(&path).map_err(|source| FileError::Read {
                path: path.clone(),
                source,
            })? {
                if self.open.contains(&file) {
                    return Err(FileError::Cycle(file));
                }
                // A link to nowhere matches a pattern, in Python too, and Salt fails on it.
                let mut options = self.read(&file)?.ok_or_else(|| FileError::Read {
                    path: file.clone(),
                    source: std::io::ErrorKind::NotFound.into(),
                })?;
                if let Some(nested) = options.get("include").cloned() {
                    self.open.push(file.clone());
                    options.extend(self.include(&nested.value, &file)?);
                    self.open.pop();
                }
                merge_tables(&mut merged, options);
            }
        }
        Ok(merged)
    }

    fn read(&mut self, path: &Path) -> Result<Option<Table>, FileError> {
        if self.sources.len() >= MOST_FILES {
            return Err(FileError::TooMuch(path.to_owned()));
        }
        let Some(text) = file::text(path)? else {
            return Ok(None);
        };
        self.sources.push(path.to_owned());
        let file: Arc<Path> = Arc::from(path);
        let options = file::parse(path, &text)?.into_iter();
        Ok(Some(
            options
                .map(|(option, value)| {
                    let file = Arc::clone(&file);
                    (option, Entry { value, file })
                })
                .collect(),
        ))
    }
}

/// The patterns of an `include`, absolute or relative to the file that has it.
fn paths(include: &Value, from: &Path) -> Result<Vec<PathBuf>, FileError> {
    let malformed = || FileError::Include(from.to_owned());
    let entries: Vec<&str> = match include {
        Value::Null => Vec::new(),
        Value::String(one) if one.is_empty() => Vec::new(),
        Value::String(one) => vec![one],
        Value::Array(many) => many
            .iter()
            .map(|entry| entry.as_str().ok_or_else(malformed))
            .collect::<Result<_, _>>()?,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(malformed()),
    };
    let base = from.parent().unwrap_or_else(|| Path::new("/"));
    Ok(entries
        .into_iter()
        .map(|entry| base.join(pattern::expand_home(entry)))
        .collect())
}

fn merge_tables(into: &mut Table, from: Table) {
    for (option, entry) in from {
        match into.get_mut(&option) {
            Some(ours) => {
                merge_value(&mut ours.value, entry.value);
                ours.file = entry.file;
            }
            None => {
                into.insert(option, entry);
            }
        }
    }
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

/// Python's `sorted` on paths: by their text, not by their components.
pub(super) fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
}

/// Also what ends a chain of files that include each other through patterns.
const MOST_FILES: usize = 1000;

#[cfg(test)]
mod tests;
