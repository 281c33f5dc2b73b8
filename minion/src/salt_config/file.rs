//! One file: opened, bounded, parsed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::{Map, Value};

use crate::yaml::{self, Mistake};

/// A file that was read, and who may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its owner.
    pub owner: u32,
    /// Its mode.
    pub mode: u32,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file that includes itself, directly or through others.
    #[error("{} includes itself", .0.display())]
    Cycle(PathBuf),
    /// `include` that is neither a text nor a list of texts.
    #[error("`include` in {} is neither a path nor a list of paths", .0.display())]
    Include(PathBuf),
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
    #[error("{} is not YAML as Salt reads it", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What and where; the text is not quoted, for it may be one that only root can read.
        #[source]
        source: Mistake,
    },
}

/// Reads a file whole; none if there is none.
///
/// # Errors
///
/// Fails on what is no regular file, too large, not UTF-8 or not to be read.
pub fn text(path: &Path) -> Result<Option<String>, FileError> {
    Ok(read(path)?.map(|(text, _)| text))
}

/// As [`text`], with what there is to know about the very file that was opened.
pub(super) fn read(path: &Path) -> Result<Option<(String, Source)>, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    if metadata.len() > LARGEST {
        return Err(FileError::TooMuch(path.to_owned()));
    }
    let source = Source {
        path: path.to_owned(),
        owner: metadata.uid(),
        mode: metadata.mode() & 0o7777,
    };
    let text = content(file).map_err(failed)?;
    Ok(Some((text, source)))
}

fn content(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Parses the text of a file that holds a mapping.
///
/// # Errors
///
/// Fails if it holds anything else; the error names `path`, which is not opened.
pub fn mapping(path: &Path, text: &str) -> Result<Map<String, Value>, FileError> {
    let document = yaml::load(text).map_err(|source| FileError::Yaml {
        path: path.to_owned(),
        source,
    })?;
    match yaml::to_json(&document) {
        Value::Object(options) => Ok(options),
        // Python: `safe_load(..) or {}`.
        Value::Null | Value::Bool(false) => Ok(Map::new()),
        Value::String(text) if text.is_empty() => Ok(Map::new()),
        Value::Array(list) if list.is_empty() => Ok(Map::new()),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(FileError::NotAMapping(path.to_owned()))
        }
    }
}

/// The stock file with all its comments has some 60 KiB.
const LARGEST: u64 = 4 * 1024 * 1024;
