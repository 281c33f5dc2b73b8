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
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
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

    /// The notes that are there, oldest first, with the files they are in. What is no note is
    /// logged and set aside under another name, so that it is not met again at each look.
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
        for entry in entries {
            if notes.len() >= MOST {
                break;
            }
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != COMPLETE)
            {
                continue;
            }
            match read(&path) {
                Ok(note) => notes.push((path, note)),
                // Another look will tell.
                Err(Unread::Failed(error)) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "a note for the audit log cannot be read");
                }
                Err(Unread::NoNote(why)) => set_aside(&path, &why),
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

fn read(path: &Path) -> Result<Note, Unread> {
    let mut options = OpenOptions::new();
    // A named pipe has no writer to wait for.
    let options = options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    let file = options.open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(nix::libc::ELOOP);
        if is_link || error.kind() == io::ErrorKind::PermissionDenied {
            return Unread::NoNote(error.to_string());
        }
        Unread::Failed(error)
    })?;
    let metadata = file.metadata().map_err(Unread::Failed)?;
    if !metadata.is_file() {
        return Err(Unread::NoNote("it is no regular file".to_owned()));
    }
    if metadata.len() > LONGEST {
        return Err(Unread::NoNote("it is too long".to_owned()));
    }
    let mut text = Vec::new();
    let mut file = file.take(LONGEST);
    file.read_to_end(&mut text).map_err(Unread::Failed)?;
    serde_json::from_slice(&text).map_err(|error| Unread::NoNote(error.to_string()))
}

/// Why there is no note from a file.
enum Unread {
    /// The system did not let us look.
    Failed(io::Error),
    /// It never will be one.
    NoNote(String),
}

fn set_aside(path: &Path, why: &str) {
    let aside = path.with_extension("no-note");
    let moved = fs::rename(path, &aside);
    let path = path.display();
    match moved {
        Ok(()) => tracing::warn!(%path, why, "this is no note for the audit log; set aside"),
        Err(error) => tracing::warn!(%path, why, %error, "this is no note, and stays in the way"),
    }
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
