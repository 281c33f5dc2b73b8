//! Where the database may be, and that nobody else has it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;
use nix::sys::statfs::{FsType, statfs};

use super::SqliteError;

/// A file that is ours alone for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    _lock: Flock<File>,
}

impl Place {
    /// Makes or checks the directory and the file, and takes the lock beside the file.
    ///
    /// The lock is on a file of its own because SQLite's own locks come and go on the database.
    pub(super) fn take(path: &Path) -> Result<Self, SqliteError> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("create", directory))?;
        check_mode(directory, 0o700)?;
        check_file_system(directory)?;
        let lock = take_lock(path)?;
        options().open(path).map_err(failed("open", path))?;
        check_mode(path, 0o600)?;
        Ok(Self { _lock: lock })
    }
}

fn take_lock(path: &Path) -> Result<Flock<File>, SqliteError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let file = options().open(&lock).map_err(failed("open", &lock))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno == Errno::EWOULDBLOCK {
            SqliteError::InUse {
                path: path.to_owned(),
                lock,
            }
        } else {
            failed("lock", &lock)(errno.into())
        }
    })
}

/// Files are made here with their mode, before SQLite would make them with the process's.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW);
    options
}

fn check_mode(path: &Path, want: u32) -> Result<(), SqliteError> {
    let metadata = path.metadata().map_err(failed("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SqliteError::Open {
            path: path.to_owned(),
            mode,
            want,
        })
    }
}

fn check_file_system(directory: &Path) -> Result<(), SqliteError> {
    let found = statfs(directory)
        .map_err(|errno| failed("look at", directory)(errno.into()))?
        .filesystem_type();
    match NETWORK.iter().find(|(magic, _)| FsType(*magic) == found) {
        Some((_, kind)) => Err(SqliteError::NetworkFileSystem {
            path: directory.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SqliteError {
    let path = path.to_owned();
    move |source| {
        let held = || {
            let mut above = path.ancestors();
            above.find_map(|held| Some((held.to_owned(), held.metadata().ok()?)))
        };
        match (source.kind(), held()) {
            (io::ErrorKind::PermissionDenied, Some((held, metadata))) => SqliteError::Denied {
                action,
                path,
                user: nix::unistd::geteuid().as_raw(),
                held,
                owner: metadata.uid(),
                mode: metadata.mode() & 0o7777,
                source,
            },
            (_, _) => SqliteError::Path {
                action,
                path,
                source,
            },
        }
    }
}

/// statfs(2), and the kernel's `magic.h` and sources of each. FUSE is missing on purpose: what is
/// behind it may be local, and the kernel does not say.
const NETWORK: [(nix::libc::__fsword_t, &str); 11] = [
    (0x5346_414f, "AFS"),
    (0x0102_1997, "9P"),
    (0x1983_0326, "BeeGFS"),
    (0x00c3_6400, "Ceph"),
    (0xff53_4d42, "CIFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x786f_4256, "VirtualBox shared folder"),
];

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_directory_and_the_files_are_made_for_the_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/mastersign.db");
        let _place = Place::take(&path).unwrap();
        assert_eq!(mode(&root.path().join("state")), 0o700);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&root.path().join("state/mastersign.db.lock")), 0o600);
    }

    #[test]
    fn a_second_service_is_refused_until_the_first_has_gone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/mastersign.db");
        let first = Place::take(&path).unwrap();
        let refused = Place::take(&path).unwrap_err();
        assert!(matches!(refused, SqliteError::InUse { .. }), "{refused}");
        drop(first);
        Place::take(&path).unwrap();
    }

    #[test]
    fn what_others_can_use_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/mastersign.db");
        drop(Place::take(&path).unwrap());
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = Place::take(&path).unwrap_err();
        assert!(
            matches!(refused, SqliteError::Open { want: 0o600, .. }),
            "{refused}"
        );
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let directory = path.parent().unwrap();
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        let refused = Place::take(&path).unwrap_err();
        assert!(
            matches!(refused, SqliteError::Open { want: 0o700, .. }),
            "{refused}"
        );
    }

    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/mastersign.db");
        DirBuilder::new()
            .mode(0o700)
            .create(path.parent().unwrap())
            .unwrap();
        symlink(root.path().join("elsewhere"), &path).unwrap();
        let refused = Place::take(&path).unwrap_err();
        assert!(matches!(refused, SqliteError::Path { .. }), "{refused}");
        assert!(!root.path().join("elsewhere").exists());
    }
}
