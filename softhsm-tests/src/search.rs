//! A search for a private key over everything that was written to disk.
//!
//! It looks for the key and not for its file name: in every file, whatever it is called, each run
//! of bytes that parses as a private key is parsed, and its modulus is compared. The content of a
//! SQLite file is also read row by row, because a value that spans pages is not contiguous in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// What a search has seen.
#[derive(Debug, Default)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// Private keys that are not the one looked for; a search that sees none has probably not
    /// looked.
    pub other_keys: Vec<PathBuf>,
    /// Where the key, or a private key that can't be told from it because it is encrypted, was
    /// found.
    pub found: Vec<PathBuf>,
}

/// Searches all files under the roots for the private key with this modulus.
///
/// # Errors
///
/// Fails if a file can't be read: a search that skips is no search.
pub fn for_private_key(modulus: &[u8], roots: &[&Path]) -> Result<Report> {
    let mut report = Report::default();
    let mut pending: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
    while let Some(path) = pending.pop() {
        let kind = fs::symlink_metadata(&path)
            .with_context(|| format!("failed to look at {}", path.display()))?
            .file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else if kind.is_file() {
            search_file(modulus, &path, &mut report)
                .with_context(|| format!("failed to search {}", path.display()))?;
        }
    }
    Ok(report)
}

fn search_file(modulus: &[u8], path: &Path, report: &mut Report) -> Result<()> {
    report.files = report.files.saturating_add(1);
    if path
        .file_name()
        .is_some_and(|name| name == "master_sign.pem")
    {
        report.found.push(path.to_owned());
    }
    let bytes = fs::read(path)?;
    let mut keys = private_keys(&bytes);
    if bytes.starts_with(b"SQLite format 3\0") {
        for value in values(path)? {
            keys.extend(private_keys(&value));
        }
    }
    for key in keys {
        match key {
            Found::Key(found) if found != modulus => report.other_keys.push(path.to_owned()),
            Found::Key(_) | Found::Unreadable => report.found.push(path.to_owned()),
        }
    }
    Ok(())
}

enum Found {
    /// The modulus of an RSA private key.
    Key(Vec<u8>),
    /// It calls itself a private key and can't be read: encrypted, or cut.
    Unreadable,
}

fn private_keys(bytes: &[u8]) -> Vec<Found> {
    let mut found = from_pem(bytes);
    found.extend(from_der(bytes));
    found
}

/// Every PEM block that calls itself a private key, also inside JSON, where its line ends are
/// escaped.
fn from_pem(bytes: &[u8]) -> Vec<Found> {
    let text = String::from_utf8_lossy(bytes).replace("\\n", "\n");
    let mut found = Vec::new();
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((kind, body)) = block.split_once("-----") else {
            continue;
        };
        if !kind.ends_with("PRIVATE KEY") {
            continue;
        }
        let body = body.split("-----END").next().unwrap_or_default();
        let pem = format!("-----BEGIN {kind}-----{body}-----END {kind}-----\n");
        // The empty passphrase keeps OpenSSL from asking the terminal.
        match PKey::private_key_from_pem_passphrase(pem.as_bytes(), b"") {
            // Keys of certificates are elliptic and can't be the one looked for.
            Ok(key) => found.extend(modulus_of(&key).map(Found::Key)),
            Err(_) => found.push(Found::Unreadable),
        }
    }
    found
}

/// Every DER sequence that parses as a private key, PKCS#1 or PKCS#8, at any offset.
fn from_der(bytes: &[u8]) -> Vec<Found> {
    // An RSA private key of 1024 bits or more is a SEQUENCE of two length bytes that starts with
    // the INTEGER 0.
    (0..bytes.len())
        .filter_map(|start| bytes.get(start..))
        .filter(|rest| matches!(rest, [0x30, 0x82, _, _, 0x02, 0x01, 0x00, ..]))
        .filter_map(|rest| {
            let rsa = Rsa::private_key_from_der(rest).and_then(PKey::from_rsa);
            rsa.or_else(|_| PKey::private_key_from_der(rest)).ok()
        })
        .filter_map(|key| modulus_of(&key).map(Found::Key))
        .collect()
}

fn modulus_of(key: &PKey<Private>) -> Option<Vec<u8>> {
    key.rsa().ok().map(|rsa| rsa.n().to_vec())
}

/// Every text and blob of every table.
fn values(path: &Path) -> Result<Vec<Vec<u8>>> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let tables: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut values = Vec::new();
    for table in tables {
        let mut rows = database.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => values.push(bytes.to_vec()),
                    ValueRef::Integer(_) | ValueRef::Null | ValueRef::Real(_) => {}
                }
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_found_in_every_form_that_a_program_would_write() {
        let key = Rsa::generate(2048).unwrap();
        let modulus = key.n().to_vec();
        let pkey = PKey::from_rsa(key.clone()).unwrap();
        let pem = String::from_utf8(key.private_key_to_pem().unwrap()).unwrap();
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let forms: [(&str, Vec<u8>); 6] = [
            ("PKCS#1 PEM", pem.clone().into_bytes()),
            ("PKCS#8 PEM", pkey.private_key_to_pem_pkcs8().unwrap()),
            ("JSON", format!("{{\"k\":{pem:?}}}").into_bytes()),
            (
                "PKCS#1 DER in the middle",
                [b"abc", &key.private_key_to_der().unwrap()[..], b"x"].concat(),
            ),
            ("PKCS#8 DER", pkey.private_key_to_pkcs8().unwrap()),
            (
                "encrypted",
                key.private_key_to_pem_passphrase(cipher, b"secret")
                    .unwrap(),
            ),
        ];
        for (form, bytes) in forms {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("harmless.txt"), bytes).unwrap();
            let report = for_private_key(&modulus, &[directory.path()]).unwrap();
            assert!(!report.found.is_empty(), "{form}");
        }
    }

    #[test]
    fn a_private_key_is_found_in_a_row_of_a_database() {
        let key = Rsa::generate(4096).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let database = Connection::open(directory.path().join("state.db")).unwrap();
        database
            .execute_batch("PRAGMA page_size = 512; CREATE TABLE t (v BLOB) STRICT;")
            .unwrap();
        database
            .execute(
                "INSERT INTO t VALUES (?1)",
                [key.private_key_to_der().unwrap()],
            )
            .unwrap();
        let report = for_private_key(&key.n().to_vec(), &[directory.path()]).unwrap();
        assert_eq!(report.found.len(), 1);
    }

    #[test]
    fn another_private_key_is_seen_and_told_apart() {
        let key = Rsa::generate(2048).unwrap();
        let other = Rsa::generate(2048).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.pem");
        fs::write(&path, other.private_key_to_pem().unwrap()).unwrap();
        let report = for_private_key(&key.n().to_vec(), &[directory.path()]).unwrap();
        assert_eq!((report.found.len(), report.other_keys), (0, vec![path]));
    }
}
