//! Notes of commands that were run beside the service, on their way into the audit log.
//!
//! The log has one writer, the service that has the database open. A command that runs at the same
//! time, or before the service's first start, leaves a file in a directory of the state directory;
//! the service records it and removes it. Each note has an id, so that one that was recorded and
//! not removed is not recorded twice.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Actor;
use crate::clock::Timestamp;

/// What a command has to say about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Makes the note one of its own.
    pub id: Uuid,
    /// When the command began or ended.
    pub time: Timestamp,
    /// Who ran it.
    pub actor: Actor,
    /// Its name, `hsm init`.
    pub command: String,
    /// Its arguments, and that it began or how it ended.
    pub detail: BTreeMap<String, String>,
}

/// The directory of the notes.
#[derive(Clone, Debug)]
pub struct Inbox {
    directory: PathBuf,
}

impl Inbox {
    /// The one in this state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            directory: state_dir.join("audit-inbox"),
        }
    }

    /// Leaves a note; it is durable when this returns, and readable to the state directory's owner.
    ///
    /// # Errors
    ///
    /// Fails if the directory or the file cannot be written.
    pub fn leave(&self, note: &Note) -> io::Result<()> {
        let state_dir = self.directory.parent().unwrap_or_else(|| Path::new("/"));
        let owner = fs::symlink_metadata(state_dir)?;
        let give = |file: &File| -> io::Result<()> {
            // Root leaves notes to a service that has another user.
            if nix::unistd::geteuid().is_root() {
                fchown(file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        };
        if DirBuilder::new()
            .mode(0o700)
            .create(&self.directory)
            .is_ok()
        {
            give(&File::open(&self.directory)?)?;
        }
        let name = self.directory.join(note.id.to_string());
        let new = name.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        give(&file)?;
        file.write_all(&serde_json::to_vec(note)?)?;
        file.sync_all()?;
        fs::rename(new, name.with_extension(COMPLETE))?;
        File::open(&self.directory)?.sync_all()
    }

    /// The notes that are there, oldest first, with the files they are in; what cannot be read is
    /// logged and left.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read; that there is none is no error.
    pub fn notes(&self) -> io::Result<Vec<(PathBuf, Note)>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut notes = Vec::new();
        for entry in entries.take(MOST) {
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != COMPLETE)
            {
                continue;
            }
            match read(&path) {
                Ok(note) => notes.push((path, note)),
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "this is no note for the audit log");
                }
            }
        }
        notes.sort_by_key(|(_, note)| (note.time, note.id));
        Ok(notes)
    }

    /// Removes a note that was recorded.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be removed; it is recorded only once all the same.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

fn read(path: &Path) -> io::Result<Note> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(O_NOFOLLOW).open(path)?;
    if file.metadata()?.len() > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    Ok(serde_json::from_reader(io::BufReader::new(file))?)
}

/// What the name of a whole note ends with.
const COMPLETE: &str = "json";
/// A command line of 1 KiB and what belongs to it.
const LONGEST: u64 = 16 * 1024;
/// At a time; the rest is there at the next look.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: i64) -> Note {
        Note {
            id: Uuid::new_v4(),
            time: Timestamp::from_unix(number).unwrap(),
            actor: Actor::service(),
            command: "hsm init".to_owned(),
            detail: BTreeMap::from([("exit_code".to_owned(), "0".to_owned())]),
        }
    }

    #[test]
    fn notes_come_in_order_and_once_removed_no_more() {
        let state_dir = tempfile::TempDir::new().unwrap();
        let inbox = Inbox::new(state_dir.path());
        assert_eq!(inbox.notes().unwrap(), []);
        let (first, second) = (note(1), note(2));
        inbox.leave(&second).unwrap();
        inbox.leave(&first).unwrap();
        let notes = inbox.notes().unwrap();
        let found: Vec<&Note> = notes.iter().map(|(_, note)| note).collect();
        assert_eq!(found, [&first, &second]);
        for (path, _) in &notes {
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
            inbox.remove(path).unwrap();
        }
        assert_eq!(inbox.notes().unwrap(), []);
    }

    #[test]
    fn what_is_no_note_is_left_alone() {
        let state_dir = tempfile::TempDir::new().unwrap();
        let inbox = Inbox::new(state_dir.path());
        inbox.leave(&note(1)).unwrap();
        let directory = state_dir.path().join("audit-inbox");
        fs::write(directory.join("x.json"), "{}").unwrap();
        fs::write(directory.join("half.new"), "{").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.join("link.json")).unwrap();
        assert_eq!(inbox.notes().unwrap().len(), 1);
    }
}
