//! A file for the public half of a key, made before the key is.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that was created before there is anything to write, and that goes again if nothing comes.
pub(super) struct Reserved {
    file: fs::File,
    path: PathBuf,
    keep: bool,
}

impl Reserved {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path).context("failed to make --out absolute")?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self {
            file,
            path,
            keep: false,
        })
    }

    pub(super) fn write(mut self, text: &str) -> anyhow::Result<PathBuf> {
        // From here on there is a key, and half a file is better than none.
        self.keep = true;
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("failed to write {}:\n{text}", self.path.display()))?;
        Ok(self.path.clone())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.keep {
            // Nobody is left to tell; the next run says that the file exists.
            let _ = fs::remove_file(&self.path);
        }
    }
}
