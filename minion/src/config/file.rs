//! One file: opened, bounded, parsed.
//!
//! The minion runs as root and reads directories that a package may have given to somebody else, so
//! a file is opened without waiting, must be a regular one of bounded size, and is never quoted in
//! an error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::{Map, Value};

use super::yaml::{self, Mistake, python_str};

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
    /// The directory does not exist.
    #[error("there is no directory {}; -c says in which directory the file `minion` is", .0.display())]
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
pub(super) fn text(path: &Path) -> Result<Option<String>, FileError> {
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
    content(file).map(Some).map_err(failed)
}

fn content(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Parses a file of options.
///
/// Salt 3008.5, `salt/config/__init__.py`, `_read_conf_file`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Map<String, Value>, FileError> {
    let mut options = mapping(path, text)?;
    if let Some(id) = options.get_mut("id") {
        *id = Value::String(python_str(id));
    }
    Ok(options)
}

/// Parses a file that holds a mapping.
pub(super) fn mapping(path: &Path, text: &str) -> Result<Map<String, Value>, FileError> {
    let document = yaml::load(text).map_err(|source| FileError::Yaml {
        path: path.to_owned(),
        source,
    })?;
    match document {
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
