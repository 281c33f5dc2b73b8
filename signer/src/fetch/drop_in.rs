//! `master.d/50-mastersign.conf`: the three lines that make salt-master serve the signature file.
//!
//! The order matters more than the lines. With them and without the file salt-master ends at its
//! start; with `master_sign_pubkey` and without `master_use_pubkey_signature` a stock Salt makes a
//! signing key of its own (Salt 3006.30 to 3008.5, `salt/crypt.py`, `MasterKeys`). So the file is
//! written last, taken away first, and never touched if somebody else wrote it.

use std::path::Path;

use super::directory::{DirectoryError, FileName, PkiDir};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was as it should be.
    None,
    /// It was taken away.
    Removed,
    /// It was written.
    Written,
}

/// Writes it.
///
/// # Errors
///
/// Fails on a file that somebody else wrote, and as [`PkiDir::replace`].
pub fn write(
    directory: &PkiDir,
    signature: &FileName,
    sha256: [u8; 32],
) -> Result<Change, DropInError> {
    let name = name()?;
    let content = content(signature, sha256);
    match directory.read_no_link(&name)? {
        Some(old) if old == content.as_bytes() => Ok(Change::None),
        Some(old) if !is_ours(&old) => Err(foreign(directory)),
        Some(_) | None => {
            directory.replace(&name, content.as_bytes())?;
            Ok(Change::Written)
        }
    }
}

/// Takes it away.
///
/// # Errors
///
/// As [`write()`].
pub fn remove(directory: &PkiDir) -> Result<Change, DropInError> {
    let name = name()?;
    match directory.read_no_link(&name)? {
        None => Ok(Change::None),
        Some(old) if !is_ours(&old) => Err(foreign(directory)),
        Some(_) => {
            directory.remove(&name)?;
            Ok(Change::Removed)
        }
    }
}

/// The whole file. It names the signature by its hash, so that it changes with it: whoever restarts
/// salt-master for a new signature need not know under which name that is kept.
#[must_use]
pub fn content(signature: &FileName, sha256: [u8; 32]) -> String {
    let sha256 = hex::encode(sha256);
    format!(
        "{MARK}\n\
         # `mastersign watch --undo` takes it away. salt-master reads it when it starts.\n\
         # SHA-256 of the signature file: {sha256}\n\
         master_sign_pubkey: True\n\
         master_use_pubkey_signature: True\n\
         master_pubkey_signature: {}\n",
        signature.as_str()
    )
}

/// Where it lies below the directory with Salt's `master` file.
#[must_use]
pub fn directory(salt_config: &Path) -> std::path::PathBuf {
    salt_config.join("master.d")
}

fn name() -> Result<FileName, DirectoryError> {
    FileName::new(NAME)
}

fn is_ours(content: &[u8]) -> bool {
    content.starts_with(MARK.as_bytes())
}

fn foreign(directory: &PkiDir) -> DropInError {
    DropInError::Foreign {
        path: directory.path().join(NAME),
    }
}

/// Why the file was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum DropInError {
    /// The directory or a file in it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Somebody else's file.
    #[error(
        "{} was not written by mastersign, so it is left alone; move it away first",
        path.display()
    )]
    Foreign {
        /// The file.
        path: std::path::PathBuf,
    },
}

/// Salt reads `master.d/*.conf` in the order of the names.
pub const NAME: &str = "50-mastersign.conf";
const MARK: &str = "# Written by `mastersign watch`.";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn open() -> (tempfile::TempDir, PkiDir) {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let us = nix::unistd::geteuid().as_raw();
        let opened = PkiDir::open_own(directory.path(), us).unwrap();
        (directory, opened)
    }

    #[test]
    fn it_is_written_once_and_taken_away_once() {
        let (directory, opened) = open();
        let signature = FileName::new("master_pubkey_signature").unwrap();
        let sha256 = [1; 32];
        assert_eq!(write(&opened, &signature, sha256).unwrap(), Change::Written);
        assert_eq!(write(&opened, &signature, sha256).unwrap(), Change::None);
        // Another signature of the same name is a reason to restart salt-master.
        let sha256 = [2; 32];
        assert_eq!(write(&opened, &signature, sha256).unwrap(), Change::Written);
        let text = fs::read_to_string(directory.path().join(NAME)).unwrap();
        let read = minion::yaml::to_json(&minion::yaml::load(&text).unwrap());
        assert_eq!(read["master_use_pubkey_signature"], true);
        assert_eq!(read["master_pubkey_signature"], "master_pubkey_signature");
        let other = FileName::new("east_pubkey_signature").unwrap();
        assert_eq!(write(&opened, &other, sha256).unwrap(), Change::Written);
        assert_eq!(remove(&opened).unwrap(), Change::Removed);
        assert_eq!(remove(&opened).unwrap(), Change::None);
    }

    #[test]
    fn somebody_elses_file_and_a_link_are_left_alone() {
        let (directory, opened) = open();
        let path = directory.path().join(NAME);
        let signature = FileName::new("master_pubkey_signature").unwrap();
        fs::write(&path, "master_sign_pubkey: False\n").unwrap();
        assert!(matches!(
            write(&opened, &signature, [1; 32]),
            Err(DropInError::Foreign { .. })
        ));
        assert!(matches!(remove(&opened), Err(DropInError::Foreign { .. })));
        fs::remove_file(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
        assert!(write(&opened, &signature, [1; 32]).is_err());
        assert!(remove(&opened).is_err());
        assert!(path.is_symlink());
    }
}
