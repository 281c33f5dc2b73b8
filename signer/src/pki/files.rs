//! Files of an authority and of those whom it vouches for.
//!
//! A file appears whole or not at all, and one that is there stays there: a CA key that is
//! overwritten by a second `init` takes every certificate with it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::Error;

/// What to do about a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Fail, and leave it as it is.
    Keep,
    /// Put the new one in its place.
    Replace,
}

/// Writes a file that only its owner can read.
///
/// # Errors
///
/// Fails if the file exists and should be kept, or if it cannot be written.
pub fn write_private(path: &Path, content: &str, existing: Existing) -> Result<(), Error> {
    write(path, content, 0o600, existing)
}

/// Writes a file that everybody can read.
///
/// # Errors
///
/// Fails if the file exists and should be kept, or if it cannot be written.
pub fn write_public(path: &Path, content: &str, existing: Existing) -> Result<(), Error> {
    write(path, content, 0o644, existing)
}

/// Makes a folder and its parents; those that are new belong to their owner alone.
///
/// # Errors
///
/// Fails if a part of the path is no folder, or may not be made.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(write_error(path))
}

/// Reads a private key file, which nobody else may be able to read.
pub(super) fn read_private(path: &Path) -> Result<String, Error> {
    let failed = read_error(path);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    read_public(path)
}

pub(super) fn read_public(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(read_error(path))
}

pub(super) fn read_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Read { path, source }
}

pub(super) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

fn write(path: &Path, content: &str, mode: u32, existing: Existing) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    write_whole(folder, path, content, mode, existing).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            Error::Exists {
                path: path.to_owned(),
            }
        } else {
            write_error(path)(source)
        }
    })
}

fn write_whole(
    folder: &Path,
    path: &Path,
    content: &str,
    mode: u32,
    existing: Existing,
) -> io::Result<()> {
    // Created 0600 whatever the umask; opened up only when the content is complete.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    match existing {
        Existing::Keep => file.persist_noclobber(path)?,
        Existing::Replace => file.persist(path)?,
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_kept_unless_said_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        write_private(&path, "first", Existing::Keep).unwrap();
        assert!(matches!(
            write_private(&path, "second", Existing::Keep),
            Err(Error::Exists { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write_private(&path, "third", Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_private_file_is_for_its_owner_alone_and_read_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        write_private(&path, "key", Existing::Keep).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_private(&path).unwrap(), "key");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            read_private(&path),
            Err(Error::Exposed { mode: 0o640, .. })
        ));
    }
}
