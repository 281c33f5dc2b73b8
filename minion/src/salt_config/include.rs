//! Which files there are, in Salt's order.
//!
//! Salt 3006.30, 3007.17 and 3008.5, `salt/config/__init__.py`, `minion_config`, `master_config`
//! and `include_config`: the main file, then `default_include`, then the main file's `include`. One
//! difference on purpose: a file that Salt would log and skip is an error here.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::file::{self, FileError, Source};
use super::pattern;
use super::planned::Planned;
use super::table::{self, Table};

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// salt-master.
    Master,
    /// salt-minion.
    Minion,
}

impl Daemon {
    /// What `default_include` is if the main file does not say.
    const fn default_include(self) -> &'static str {
        match self {
            Self::Master => "master.d/*.conf",
            Self::Minion => "minion.d/*.conf",
        }
    }
}

/// What the files say together.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Their options.
    pub options: Table,
    /// Every file that was read, in order.
    pub sources: Vec<Source>,
}

/// Reads the main file, usually `/etc/salt/minion` or `/etc/salt/master`, and everything it
/// includes.
///
/// # Errors
///
/// Names the file that cannot be read, and why.
pub fn load(daemon: Daemon, main: &Path) -> Result<Loaded, FileError> {
    load_planned(daemon, main, None)
}

/// As [`load`], and as if the planned file were there.
///
/// # Errors
///
/// As [`load`].
pub fn load_planned(
    daemon: Daemon,
    main: &Path,
    planned: Option<Planned>,
) -> Result<Loaded, FileError> {
    let mut loader = Loader {
        planned,
        ..Loader::default()
    };
    // Salt 3008.5, salt/config/__init__.py, load_config: without the main file there are still
    // those of default_include.
    let mut options = loader.read(main)?.unwrap_or_default();
    let stock = Value::from(daemon.default_include());
    let default_include = options.get("default_include").cloned().unwrap_or(stock);
    let include = options.get("include").cloned().unwrap_or_default();
    options.replace(loader.include(&default_include, main)?);
    options.replace(loader.include(&include, main)?);
    Ok(Loaded {
        options,
        sources: loader.sources,
    })
}

#[derive(Default)]
struct Loader {
    planned: Option<Planned>,
    sources: Vec<Source>,
    open: Vec<PathBuf>,
}

impl Loader {
    fn include(&mut self, include: &Value, from: &Path) -> Result<Table, FileError> {
        let mut merged = Table::default();
        for path in paths(include, from)? {
            let files = pattern::matches(&path, self.planned.as_ref());
            for file in files.map_err(|source| FileError::Read {
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
                    options.replace(self.include(&nested, &file)?);
                    self.open.pop();
                }
                merged.merge(options);
            }
        }
        Ok(merged)
    }

    fn read(&mut self, path: &Path) -> Result<Option<Table>, FileError> {
        if self.sources.len() >= MOST_FILES {
            return Err(FileError::TooMuch(path.to_owned()));
        }
        if let Some(planned) = self.planned.as_ref().filter(|it| it.is_at(path)) {
            return table::parse(path, planned.text()).map(Some);
        }
        let Some((text, source)) = file::read(path)? else {
            return Ok(None);
        };
        self.sources.push(source);
        table::parse(path, &text).map(Some)
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

/// Also what ends a chain of files that include each other through patterns.
const MOST_FILES: usize = 1000;
