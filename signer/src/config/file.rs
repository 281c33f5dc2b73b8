//! Which files make up a configuration, and whether they are the operator's.
//!
//! A configuration names the module that is loaded next to the PIN, so whoever may write it owns
//! the signing key.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ConfigError;

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

/// Checks the open file and not its name, which might lead elsewhere a moment later.
fn read(path: PathBuf) -> Result<Layer, ConfigError> {
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = match opened {
        Ok(opened) => opened,
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ConfigError::Exposed { path, mode });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(ConfigError::Owner { path, owner });
    }
    match bounded(file) {
        Ok(text) => Ok(Layer { path, text }),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

fn bounded(file: File) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read < MAX_BYTES) {
        Ok(text)
    } else {
        Err(io::Error::other("it is longer than 1 MiB"))
    }
}

/// A configuration of every HSM that exists is shorter; a device file that is named by mistake is
/// not.
const MAX_BYTES: u64 = 1 << 20;
