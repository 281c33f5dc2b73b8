//! Whether a file is another one than it was.
//!
//! By what stat tells, every few seconds, and not by inotify: a key is replaced by renaming, links
//! are exchanged, directories come and go, and a watch on an inode notices none of that. It costs a
//! handful of system calls.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files, and what they were when they were looked at first.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed(BTreeMap<PathBuf, Option<Look>>);

/// What of a file changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Followed {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let look = |path: PathBuf| {
            let first = look(&path);
            (path, first)
        };
        Self(paths.into_iter().map(look).collect())
    }

    /// The same and more files; those that are known already keep their first look.
    pub(super) fn with(mut self, paths: Vec<PathBuf>) -> Self {
        for (path, look) in Self::new(paths).0 {
            self.0.entry(path).or_insert(look);
        }
        self
    }

    /// The same files, those of `paths` as they are at this moment.
    pub(super) fn renewed(mut self, paths: Vec<PathBuf>) -> Self {
        self.0.extend(Self::new(paths).0);
        self
    }

    pub(super) fn has_changed(&self) -> bool {
        self.0.iter().any(|(path, first)| look(path) != *first)
    }
}

/// Follows links: 3008's `master.pub` is one.
fn look(path: &Path) -> Option<Look> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Look {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_way_to_change_a_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.pub");
        let other = directory.path().join("other");
        let follow = || Followed::new(vec![path.clone()]);
        let missing = follow();
        assert!(!missing.has_changed());
        fs::write(&path, "a").unwrap();
        assert!(missing.has_changed(), "it came");
        let there = follow();
        assert!(!there.has_changed());
        fs::write(&other, "b").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(there.has_changed(), "another took its place");
        let replaced = follow();
        fs::remove_file(&path).unwrap();
        assert!(replaced.has_changed(), "it went");
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let dangling = follow();
        fs::write(&other, "c").unwrap();
        assert!(dangling.has_changed(), "what a link leads to came");
    }

    #[test]
    fn a_file_that_is_known_keeps_its_first_look_until_it_is_renewed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let before = Followed::new(vec![path.clone()]);
        fs::write(&path, "a").unwrap();
        let after = before.with(vec![path.clone()]);
        assert!(after.has_changed());
        assert!(!after.renewed(vec![path]).has_changed());
    }
}
