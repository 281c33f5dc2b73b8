//! A log file that `logrotate` may move away.
//!
//! Salt 3008.5, `salt/_logging/handlers.py`, `WatchedFileHandler`: before each line the name is
//! looked at, and if it is another file now, that one is opened. If that fails the lines go on to the
//! one that is open, as there is nowhere to say that they do not.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The file under a name.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
}

impl WatchedFile {
    /// Opens the file to append, and makes it, readable for its group, if there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            // Salt 3008.5, salt/_logging/impl.py: made under the umask 027.
            .mode(0o640)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&metadata),
            file,
        })
    }
}

impl Write for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = std::fs::metadata(&self.path).map(|metadata| identity(&metadata));
        if now.ok() != Some(self.identity)
            && let Ok(new) = Self::open(&self.path)
        {
            *self = new;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("salt/minion");
        let mut file = WatchedFile::open(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        let moved = directory.path().join("salt/minion.1");
        std::fs::rename(&path, &moved).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o137, 0);
    }

    #[test]
    fn a_name_that_cannot_be_opened_any_more_costs_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("salt/minion");
        let mut file = WatchedFile::open(&path).unwrap();
        let away = directory.path().join("away");
        std::fs::rename(directory.path().join("salt"), &away).unwrap();
        std::fs::write(directory.path().join("salt"), "no directory").unwrap();
        file.write_all(b"one\n").unwrap();
        std::fs::remove_file(directory.path().join("salt")).unwrap();
        file.write_all(b"two\n").unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(away.join("minion")), "one\n");
        assert_eq!(read(path), "two\n");
    }
}
