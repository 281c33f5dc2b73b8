//! Files that decide whom the service believes: authorities, revocation lists, the pinned key.
//!
//! Whoever may write one of them lets in whom he likes, so they are held to what a configuration is
//! held to: root's or the service's, and written by nobody else.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Reads such a file. The open file is checked and not its name, which might lead elsewhere a
/// moment later.
///
/// # Errors
///
/// Fails if somebody else could have written it, or if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, AnchorError> {
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
    let mut content = Vec::new();
    file.take(MOST_BYTES.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(failed)?;
    // A list that is cut would be believed as far as it goes.
    if u64::try_from(content.len()).is_ok_and(|length| length <= MOST_BYTES) {
        Ok(content)
    } else {
        Err(AnchorError::Long {
            path: path.to_owned(),
        })
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
    /// A file that is longer than any that is meant.
    #[error(
        "{} is longer than 16 MiB, which no authority, revocation list or key is; is it the right \
         file?",
        .path.display()
    )]
    Long {
        /// The file.
        path: PathBuf,
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
/// A list of 200,000 revoked certificates; a device file that is named by mistake is longer.
const MOST_BYTES: u64 = 16 << 20;

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
        file.set_len(MOST_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MOST_BYTES);
        file.set_len(MOST_BYTES + 1).unwrap();
        assert!(matches!(read(&path), Err(AnchorError::Long { .. })));
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
