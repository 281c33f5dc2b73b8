//! Files that decide what the service does and whom it believes: its configuration, authorities,
//! revocation lists, the pinned key.
//!
//! Whoever may write one of them lets in whom he likes, so it has to be root's or the service's, and
//! written by nobody else.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Reads such a file, of at most 16 MiB: a list of 200,000 revoked certificates.
///
/// # Errors
///
/// Fails if somebody else could have written it, or if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, AnchorError> {
    read_up_to(path, 16)
}

/// Reads such a file of at most so many MiB; a device file that is named by mistake is longer. The
/// open file is checked and not its name, which might lead elsewhere a moment later.
pub(crate) fn read_up_to(path: &Path, mebibytes: u64) -> Result<Vec<u8>, AnchorError> {
    let failed = |source| AnchorError::Read {
        path: path.to_owned(),
        source,
    };
    // A named pipe in its place must not hold up the service.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(AnchorError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(AnchorError::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    let most = mebibytes.saturating_mul(1 << 20);
    let mut content = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut content);
    // A list that is cut would be believed as far as it goes.
    if u64::try_from(read.map_err(failed)?).is_ok_and(|read| read <= most) {
        Ok(content)
    } else {
        let long = format!("it is longer than {mebibytes} MiB; is it the right file?");
        Err(failed(io::Error::other(long)))
    }
}

/// Why such a file is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// Others could write it.
    #[error(
        "{} decides who is believed and may be written by others (mode {mode:04o}); look at what \
         is in it, then run `chmod go-w` on it",
        .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file that belongs to neither root nor the service.
    #[error(
        "{} decides who is believed and belongs to user {owner}, who is neither root nor the user \
         that runs this; look at what is in it, then give it to root with `chown root`",
        .path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

const OTHERS_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_file_that_others_may_write_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        fs::write(&path, "text").unwrap();
        for (mode, good) in [(0o644, true), (0o400, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(content) => assert!(good && content == b"text", "{mode:o}"),
                Err(AnchorError::Exposed { mode: found, .. }) => {
                    assert!(!good && found == mode, "{mode:o}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_list_is_believed_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("crl.pem");
        let file = fs::File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        assert_eq!(read(&path).unwrap().len(), 16 << 20);
        file.set_len((16 << 20) + 1).unwrap();
        let error = std::error::Error::source(&read(&path).unwrap_err())
            .unwrap()
            .to_string();
        assert!(error.contains("longer than 16 MiB"), "{error}");
    }

    mod as_root {
        use super::*;

        #[test]
        fn a_file_of_another_user_is_not_believed() {
            assert!(
                nix::unistd::geteuid().is_root(),
                "this needs other users: run it as root, or leave it out with `--skip as_root::`"
            );
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("ca.pem");
            fs::write(&path, "text").unwrap();
            chown(&path, Some(12345), None).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, AnchorError::Owner { owner: 12345, .. }));
        }
    }
}
