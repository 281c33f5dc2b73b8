//! Notes of commands that were run beside the service, on their way into the audit log.
//!
//! The log has one writer, the service that has the database open. A command that runs at the same
//! time, or before the service's first start, leaves a file in a directory of the state directory;
//! the service records it and removes it. Each note has an id, so that one that was recorded and
//! not removed is not recorded twice.
//!
//! The state directory is the service's user's, who could exchange what is in it at any moment. So
//! root, whose commands leave notes as well, is that user while it does so, resolves each name once
//! below an open directory and follows no link there.

mod owner;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::libc::O_NOFOLLOW;
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::fsync;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::owner::AsOwner;
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
            directory: state_dir.join(DIRECTORY_NAME),
        }
    }

    /// Leaves a note; it is durable when this returns, and readable to the state directory's owner.
    ///
    /// # Errors
    ///
    /// Fails if the directory or the file cannot be written, by its owner, or is a link.
    pub fn leave(&self, note: &Note) -> io::Result<()> {
        let state_dir = self.directory.parent().unwrap_or_else(|| Path::new("/"));
        let state = open(state_dir, DIRECTORY, Mode::empty())?;
        let found = fstat(&state)?;
        // Root leaves notes to a service that has another user.
        let as_owner = AsOwner::enter(found.st_uid, found.st_gid)?;
        match mkdirat(&state, DIRECTORY_NAME, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let inbox = openat(
            &state,
            DIRECTORY_NAME,
            DIRECTORY | OFlag::O_NOFOLLOW,
            Mode::empty(),
        )?;
        let (name, new) = (
            format!("{}.{COMPLETE}", note.id),
            format!("{}.new", note.id),
        );
        let mut file = File::from(openat(&inbox, new.as_str(), NEW, PRIVATE)?);
        file.write_all(&serde_json::to_vec(note)?)?;
        file.sync_all()?;
        renameat(&inbox, new.as_str(), &inbox, name.as_str())?;
        fsync(&inbox)?;
        drop(as_owner);
        Ok(())
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

const DIRECTORY_NAME: &str = "audit-inbox";
const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);
const NEW: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// What the name of a whole note ends with.
const COMPLETE: &str = "json";
/// A command line of 1 KiB and what belongs to it.
const LONGEST: u64 = 16 * 1024;
/// At a time; the rest is there at the next look.
const MOST: usize = 256;

#[cfg(test)]
mod tests;
