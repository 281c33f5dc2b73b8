//! Which files make up a configuration, and whether they are the operator's.
//!
//! A configuration names the module that is loaded next to the PIN, so whoever may write it owns
//! the signing key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::anchor::{self, AnchorError};

/// One file of the configuration.
#[derive(Debug)]
pub struct Layer {
    /// Where it stands.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// The main file, then `conf.d/*.toml` beside it by name.
pub(super) fn layers(main: &Path) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = vec![read(main.to_owned())?];
    let directory = main.with_file_name("conf.d");
    for path in fragments(&directory).map_err(|source| ConfigError::Read {
        path: directory.clone(),
        source,
    })? {
        layers.push(read(path)?);
    }
    Ok(layers)
}

fn fragments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf) -> Result<Layer, ConfigError> {
    let content = anchor::read_up_to(&path, MOST_MEBIBYTES).map_err(|error| match error {
        AnchorError::Exposed { path, mode } => ConfigError::Exposed { path, mode },
        AnchorError::Owner { path, owner } => ConfigError::Owner { path, owner },
        AnchorError::Read { path, source } => ConfigError::Read { path, source },
    })?;
    match String::from_utf8(content) {
        Ok(text) => Ok(Layer { path, text }),
        Err(_) => Err(ConfigError::Read {
            path,
            source: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"),
        }),
    }
}

/// A configuration of every HSM that exists is shorter.
const MOST_MEBIBYTES: u64 = 1;
