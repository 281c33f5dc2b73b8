//! The list of what an authority made, one JSON object a line.
//!
//! A line is written and synced before the certificate leaves, so the list may name a certificate
//! that nobody received, and never misses one that somebody did: revocation needs the serial
//! numbers of all of them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Error, files};
use crate::clock::Timestamp;

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The serial number in lower-case hex.
    pub serial: String,
    /// The identity's URI, or `server:` and the hosts.
    pub identity: String,
    /// SHA-256 over the `SubjectPublicKeyInfo`, in lower-case hex.
    pub spki_sha256: String,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Adds a line and waits until it is on the disk.
pub(super) fn append<T: Serialize>(path: &Path, entry: &T) -> Result<(), Error> {
    let failed = files::write_error(path);
    let line = || -> io::Result<()> {
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    };
    line().map_err(failed)
}

/// Reads all lines; an authority that made nothing has no file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(files::read_error(path)(error)),
    };
    text.lines()
        .zip(1..)
        .map(|(text, line)| {
            serde_json::from_str(text).map_err(|source| Error::Index {
                path: path.to_owned(),
                line,
                source,
            })
        })
        .collect()
}
