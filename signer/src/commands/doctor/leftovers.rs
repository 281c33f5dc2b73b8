//! Signing keys that still lie around.
//!
//! A signature file makes `master_sign.pem` needless on a master, and as long as one is left the
//! move to the HSM protects nothing. It is looked for by name, and where it can be read by its
//! content: a copy under another name is as good for a thief.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use minion::verify::PublicKey;
use openssl::pkey::PKey;
use zeroize::Zeroizing;

use super::finding::Finding;

/// Looks below these directories.
pub(super) fn look(directories: &[PathBuf], pinned: Option<&PublicKey>) -> Finding {
    let what = "left signing keys";
    let mut search = Search {
        pinned: pinned.map(PublicKey::modulus),
        found: Vec::new(),
        unread: 0,
        left: MOST_ENTRIES,
    };
    let mut seen: Vec<&PathBuf> = Vec::new();
    for directory in directories {
        // A directory inside another one that was searched would be told twice.
        if !seen.iter().any(|known| directory.starts_with(known)) {
            search.walk(directory, DEEPEST);
            seen.push(directory);
        }
    }
    let places: Vec<String> = seen.iter().map(|path| path.display().to_string()).collect();
    let places = places.join(", ");
    if !search.found.is_empty() {
        let lines: Vec<String> = search
            .found
            .iter()
            .map(|path| format!("shred -u {}", path.display()))
            .collect();
        let names: Vec<String> = search
            .found
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        return Finding::failure(
            what,
            format!(
                "{}: whoever reads one can pose as a master to every minion that trusts it",
                names.join(", ")
            ),
            format!(
                "{}\nand in every backup; then plan the change to a new signing key: what lay here is no \
                 secret any more",
                lines.join("\n")
            ),
        );
    }
    let detail = format!("none below {places}");
    if search.unread > 0 || search.left == 0 {
        return Finding::warning(
            what,
            format!("{detail}, but not everything could be looked at"),
            "run doctor as root; name a directory with --search",
        );
    }
    Finding::good(what, detail)
}

struct Search {
    pinned: Option<Vec<u8>>,
    found: Vec<PathBuf>,
    unread: usize,
    /// How many entries may still be looked at.
    left: usize,
}

impl Search {
    fn walk(&mut self, directory: &Path, depth: usize) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let gone = error.kind() == std::io::ErrorKind::NotFound;
                self.unread = self.unread.saturating_add(usize::from(!gone));
                return;
            }
        };
        for entry in entries.flatten() {
            if self.left == 0 {
                return;
            }
            self.left = self.left.saturating_sub(1);
            // Links are not followed: what they lead to is found where it is.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            if kind.is_dir() && depth > 0 {
                self.walk(&path, depth.saturating_sub(1));
            } else if kind.is_file() && self.is_signing_key(&path) {
                self.found.push(path);
            }
        }
    }

    fn is_signing_key(&mut self, path: &Path) -> bool {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let suspicious = name.contains("sign") && name.contains(".pem");
        let Some(text) = self.key_text(path) else {
            return false;
        };
        if suspicious {
            return true;
        }
        let Some(pinned) = &self.pinned else {
            return false;
        };
        // An encrypted one under another name cannot be told from any other key.
        let key = PKey::private_key_from_pem_callback(text.as_bytes(), |_| Ok(0));
        key.and_then(|key| key.rsa())
            .is_ok_and(|rsa| rsa.n().to_vec() == *pinned)
    }

    /// The file's text, if there is a private key in it.
    fn key_text(&mut self, path: &Path) -> Option<Zeroizing<String>> {
        if path.metadata().ok()?.len() > LARGEST {
            return None;
        }
        let Ok(file) = File::open(path) else {
            self.unread = self.unread.saturating_add(1);
            return None;
        };
        let mut text = Zeroizing::new(String::new());
        // What is no text holds no PEM.
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        text.contains("PRIVATE KEY-----").then_some(text)
    }
}

const DEEPEST: usize = 6;
/// A `pki_dir` of ten thousand minions in all its states, and more.
const MOST_ENTRIES: usize = 100_000;
const LARGEST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_copy_under_any_name_is_found_and_other_keys_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let signing = Rsa::generate(2048).unwrap();
        let pem = String::from_utf8(signing.public_key_to_pem().unwrap()).unwrap();
        let pinned = PublicKey::decode(&pem).unwrap();
        let other = Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
        fs::write(directory.path().join("master.pem"), &other).unwrap();
        fs::write(directory.path().join("master_sign.pub"), pem).unwrap();
        fs::write(directory.path().join("binary"), [0xff; 100]).unwrap();
        let look = || look(&[directory.path().to_owned()], Some(&pinned));
        assert_eq!(look().level(), Level::Good, "{}", look().text());
        fs::write(
            deep.join("old-backup"),
            signing.private_key_to_pem().unwrap(),
        )
        .unwrap();
        let found = look();
        assert_eq!(found.level(), Level::Failure);
        assert!(found.text().contains("a/b/old-backup"), "{}", found.text());
    }

    #[test]
    fn one_by_its_name_is_found_although_it_is_encrypted() {
        let directory = tempfile::tempdir().unwrap();
        let cipher = openssl::symm::Cipher::aes_256_cbc();
        let pem = Rsa::generate(2048)
            .unwrap()
            .private_key_to_pem_passphrase(cipher, b"x")
            .unwrap();
        fs::write(directory.path().join("master_sign.pem.bak"), pem).unwrap();
        let found = look(&[directory.path().to_owned()], None);
        assert_eq!(found.level(), Level::Failure);
    }
}
