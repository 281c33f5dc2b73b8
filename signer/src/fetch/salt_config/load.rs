//! From files to one table of options, in Salt's order and with Salt's two ways of merging.
//!
//! Salt 3008.5, `salt/config/__init__.py`, `master_config` and `include_config`: the main file,
//! then `default_include`, then the main file's `include`. The files of one include are merged with
//! each other deeply and their lists appended; the result overrides what was there before by whole
//! top-level keys. One difference on purpose: a file that Salt would log and skip is an error here.
//!
//! `fetch` reads these files as root while Salt's packages give some of them to the user `salt`, so
//! a file is opened without waiting, must be a regular one of bounded size, and is never quoted in
//! an error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, options};

use super::pattern;

/// A configuration file that was read, and who may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its owner.
    pub owner: u32,
    /// Its mode.
    pub mode: u32,
}

/// Why the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that includes itself, directly or through others.
    #[error("{} includes itself", .0.display())]
    Cycle(PathBuf),
    /// `include` that is neither a text nor a list of texts.
    #[error("`include` in {} is neither a path nor a list of paths", .0.display())]
    Include(PathBuf),
    /// The directory does not exist.
    #[error("there is no directory {}; --salt-config says where Salt's `master` file is", .0.display())]
    NoDirectory(PathBuf),
    /// Something else than a file.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file that holds no mapping.
    #[error("{} does not hold `option: value` lines", .0.display())]
    NotAMapping(PathBuf),
    /// A directory or file that cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More than any configuration needs.
    #[error("{} is too large, or it includes too many files", .0.display())]
    TooMuch(PathBuf),
    /// Not YAML.
    #[error("{} is not YAML; salt-master does not read it either (line {line})", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where, or 0 if that is not known.
        line: u64,
    },
}

/// Reads the main file `master` in `directory` and everything it includes.
pub(super) fn load(directory: &Path) -> Result<(Map<String, Value>, Vec<Source>), LoadError> {
    if !directory.is_dir() {
        return Err(LoadError::NoDirectory(directory.to_owned()));
    }
    let main = directory.join("master");
    let mut loader = Loader::default();
    let mut options = if main.exists() {
        loader.read(&main)?
    } else {
        Map::new()
    };
    let default_include = options
        .get("default_include")
        .cloned()
        .unwrap_or_else(|| Value::from("master.d/*.conf"));
    let include = options.get("include").cloned().unwrap_or(Value::Null);
    options.extend(loader.include(&default_include, &main)?);
    options.extend(loader.include(&include, &main)?);
    Ok((options, loader.sources))
}

#[derive(Default)]
struct Loader {
    sources: Vec<Source>,
    open: Vec<PathBuf>,
}

impl Loader {
    fn include(&mut self, include: &Value, from: &Path) -> Result<Map<String, Value>, LoadError> {
        let mut merged = Map::new();
        for path in paths(include, from)? {
            for file in pattern::matches(&path).map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })? {
                if self.open.contains(&file) {
                    return Err(LoadError::Cycle(file));
                }
                let mut options = self.read(&file)?;
                if let Some(nested) = options.get("include").cloned() {
                    self.open.push(file.clone());
                    options.extend(self.include(&nested, &file)?);
                    self.open.pop();
                }
                merge(&mut merged, options);
            }
        }
        Ok(merged)
    }

    fn read(&mut self, path: &Path) -> Result<Map<String, Value>, LoadError> {
        if self.sources.len() >= MOST_FILES {
            return Err(LoadError::TooMuch(path.to_owned()));
        }
        let failed = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(LoadError::NotAFile(path.to_owned()));
        }
        if metadata.len() > LARGEST_FILE {
            return Err(LoadError::TooMuch(path.to_owned()));
        }
        self.sources.push(Source {
            path: path.to_owned(),
            owner: metadata.uid(),
            mode: metadata.mode() & 0o7777,
        });
        parse(path, &content(file).map_err(failed)?)
    }
}

fn content(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, LoadError> {
    let rules = options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let document: Option<Value> = serde_saphyr::from_str_with_options(text, rules).map_err(
        // The error quotes the file, which may be one that only root can read.
        |error| LoadError::Yaml {
            path: path.to_owned(),
            line: error.location().map_or(0, |location| location.line()),
        },
    )?;
    match document {
        Some(Value::Object(options)) => Ok(options),
        // Python: `safe_load(..) or {}`.
        None | Some(Value::Null | Value::Bool(false)) => Ok(Map::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Map::new()),
        Some(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(LoadError::NotAMapping(path.to_owned()))
        }
    }
}

/// The patterns of an `include`, absolute or relative to the file that has it.
fn paths(include: &Value, from: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let malformed = || LoadError::Include(from.to_owned());
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

/// Salt's `dictupdate.update` with `merge_lists`: mappings are merged, lists appended without
/// repetition.
///
/// Salt merges lists at every depth; it hands `merge_lists` on to the mappings inside.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => merge(ours, theirs),
            (Some(Value::Array(ours)), Value::Array(theirs)) => {
                for item in theirs {
                    if !ours.contains(&item) {
                        ours.push(item);
                    }
                }
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Python's `sorted` on paths: by their text, not by their components.
pub(super) fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
}

/// The stock file with all its comments has some 60 KiB.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// Also what ends a chain of files that include each other through patterns.
const MOST_FILES: usize = 1000;
