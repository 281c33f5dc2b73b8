//! A file that is not written yet, or not yet like this.
//!
//! Whoever writes a drop-in has to know what Salt would make of it together with all the others,
//! and has to know it before: once it is there, a daemon may read it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The content that a file is going to have.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Without links, so that it is known again by whatever path an `include` leads there.
    directory: PathBuf,
    name: std::ffi::OsString,
    text: String,
}

impl Planned {
    /// A file in a directory that exists.
    ///
    /// # Errors
    ///
    /// Fails if the path has no name or its directory cannot be found.
    pub fn new(path: &Path, text: String) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let directory = path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
        Ok(Self {
            directory: directory.canonicalize()?,
            name: name.to_owned(),
            text,
        })
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_in(&self, directory: &Path) -> bool {
        directory
            .canonicalize()
            .is_ok_and(|directory| directory == self.directory)
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        path.file_name() == Some(&self.name) && path.parent().is_some_and(|it| self.is_in(it))
    }
}
