//! The folder that holds everything, and who removes it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::pki;

/// A folder that only its owner enters; one that we made for ourselves goes when this is dropped.
#[derive(Debug)]
pub(super) enum Folder {
    Given(PathBuf),
    Made(TempDir),
}

impl Folder {
    /// Takes the folder that was named, which must be empty or not there yet, or makes a fresh one.
    pub(super) fn open(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = named else {
            let made = TempDir::with_prefix("mastersign-dev-");
            return Ok(Self::Made(made.context("cannot make a temporary folder")?));
        };
        let path = std::path::absolute(&path)
            .with_context(|| format!("cannot tell where {} is", path.display()))?;
        pki::make_folder(&path)?;
        let mut content = fs::read_dir(&path)
            .with_context(|| format!("cannot read the folder {}", path.display()))?;
        ensure!(
            content.next().is_none(),
            "{0} is not empty; name an empty folder, or run what is there with \
             `mastersign serve --config {0}/{1}`",
            path.display(),
            super::setup::CONFIG
        );
        Ok(Self::Given(path))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Made(directory) => directory.path(),
        }
    }

    /// Removes what we made; tells the folder that stays.
    pub(super) fn close(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Given(path) => Ok(Some(path)),
            Self::Made(directory) => {
                let path = directory.path().to_owned();
                directory
                    .close()
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_made_is_removed_and_one_that_was_named_is_kept() {
        let made = Folder::open(None).unwrap();
        let path = made.path().to_owned();
        assert!(path.is_dir());
        assert_eq!(made.close().unwrap(), None);
        assert!(!path.exists());

        let outer = tempfile::tempdir().unwrap();
        let named = outer.path().join("new");
        let given = Folder::open(Some(named.clone())).unwrap();
        assert_eq!(given.close().unwrap(), Some(named.clone()));
        assert!(named.is_dir());
    }

    #[test]
    fn a_named_folder_with_something_in_it_is_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("mine"), "mine").unwrap();
        let refused = Folder::open(Some(outer.path().to_owned()))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("is not empty"), "{refused}");
        assert!(outer.path().join("mine").exists());
    }
}
