//! The memory of logins whose end nobody saw.
//!
//! A PIN that the token refuses is remembered by the [latch](super::latch), but only if the refusal
//! arrives. A login that hangs past the start deadline, or whose worker or service is killed, may
//! have been refused as well, and a start that presents the PIN again without limit locks the
//! token. So each login is noted on the disk before the PIN leaves this process, and the note goes
//! when the outcome is known. A note that is found at a start allows one more login, because a loss
//! of power is no reason to call an operator; the second one in a row allows none.
//!
//! The notes are files beside the latch's key and not rows of the store: they mean something only
//! under that key, and each start would leave two audit records that tell an auditor nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

/// Where logins are noted.
#[derive(Clone, Debug)]
pub struct Attempts(PathBuf);

/// A login that is noted and may go ahead.
#[derive(Debug)]
pub(super) struct Attempt {
    directory: PathBuf,
    notes: [PathBuf; MOST],
}

impl Attempts {
    /// Keeps the notes in `directory`, which exists.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Forgets all logins of unknown outcome, and tells how many there were.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read or a note cannot be removed.
    pub fn forget(&self) -> io::Result<usize> {
        let mut forgotten: usize = 0;
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PREFIX.as_bytes())
            {
                fs::remove_file(entry.path())?;
                forgotten = forgotten.saturating_add(1);
            }
        }
        Ok(forgotten)
    }

    /// What is known of earlier logins with this PIN, `tag`, by the HSM of this name.
    pub(super) fn of(&self, hsm: &str, tag: &[u8; 32]) -> Attempt {
        // Two configured HSMs may be copies of one token; what one leaves must not bar the other.
        let name = [hsm.as_bytes(), &[0], tag].concat();
        let name = hex::encode(digest(&SHA256, &name));
        let note = |number: usize| self.0.join(format!("{PREFIX}{name}.{number}"));
        Attempt {
            directory: self.0.clone(),
            notes: [note(1), note(2)],
        }
    }
}

impl Attempt {
    /// Notes that a login is about to be tried, durably; false if as many ended unknown as may.
    pub(super) fn begin(&self) -> io::Result<bool> {
        for note in &self.notes {
            let opened = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(note);
            match opened {
                Ok(mut file) => {
                    file.write_all(NOTE)?;
                    file.sync_all()?;
                    File::open(&self.directory)?.sync_all()?;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The outcome is known: the notes go.
    ///
    /// A note that comes back after a loss of power costs one of two tries and no more, so nothing
    /// is synced.
    pub(super) fn settle(&self) {
        for note in self.notes.iter().rev() {
            match fs::remove_file(note) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(
                    %error,
                    note = %note.display(),
                    "the note of a login stays; the second one of them bars the HSM"
                ),
            }
        }
    }
}

/// One that may have been a loss of power, and one more. Most tokens lock at the third to tenth.
const MOST: usize = 2;
const PREFIX: &str = "login-";
/// For whoever finds the file.
const NOTE: &[u8] = b"A login to an HSM was begun and its outcome is not known.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_logins_of_unknown_outcome_are_all_there_ever_are() {
        let directory = tempfile::tempdir().unwrap();
        let begin = |hsm, tag| {
            // Each stands for a start of the service.
            let attempts = Attempts::new(directory.path());
            attempts.of(hsm, &[tag; 32]).begin().unwrap()
        };
        assert_eq!([begin("a", 1), begin("a", 1)], [true, true]);
        assert_eq!([begin("a", 1), begin("a", 1)], [false, false]);
        assert!(begin("a", 2), "another PIN");
        assert!(begin("b", 1), "another HSM");
    }

    #[test]
    fn a_known_outcome_gives_both_tries_back() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = Attempts::new(directory.path()).of("a", &[1; 32]);
        for _ in 0..2 {
            assert!(attempt.begin().unwrap());
            assert!(attempt.begin().unwrap());
            attempt.settle();
        }
    }

    #[test]
    fn forgetting_gives_every_hsm_its_tries_back_and_touches_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("latch.key"), "key").unwrap();
        let attempts = Attempts::new(directory.path());
        for hsm in ["a", "b"] {
            while attempts.of(hsm, &[1; 32]).begin().unwrap() {}
        }
        assert_eq!(attempts.forget().unwrap(), 4);
        assert!(attempts.of("a", &[1; 32]).begin().unwrap());
        assert!(directory.path().join("latch.key").exists());
    }

    #[test]
    fn a_login_that_cannot_be_noted_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("nowhere");
        assert!(Attempts::new(&nowhere).of("a", &[1; 32]).begin().is_err());
    }
}
