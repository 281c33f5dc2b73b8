//! What is kept about masters: whose key is revoked, which key each has, and how far its
//! publications had come.

use std::collections::BTreeSet;

use super::PkiError;
use super::directory::{Directory, Guard, Outlives};
use crate::config::MasterName;
use crate::verify::{KeyHash, PublicKey};
use crate::wire::crypticle::KeyId;

/// `revoked_masters`: hashes, blank lines, and lines that begin with `#`.
pub(super) fn revoked(directory: &Directory) -> Result<BTreeSet<KeyHash>, PkiError> {
    let content = directory.read(REVOKED, Guard::Trusted)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let mut hashes = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let hash = line.parse().map_err(|source| PkiError::Revoked {
            path: directory.path().join(REVOKED),
            line: index.saturating_add(1),
            source,
        })?;
        hashes.insert(hash);
    }
    Ok(hashes)
}

/// The key that this master has.
pub(super) fn pinned(
    directory: &Directory,
    master: &MasterName,
) -> Result<Option<PublicKey>, PkiError> {
    let Some(masters) = directory.below(MASTERS)? else {
        return Ok(None);
    };
    let endpoint = endpoint_file(master);
    let Some(content) = masters.read(&endpoint, Guard::Own)? else {
        return Ok(None);
    };
    let damaged = |name: &str| PkiError::Damaged(masters.path().join(name));
    let text = String::from_utf8_lossy(&content);
    let hash: KeyHash = text.trim_end().parse().map_err(|_| damaged(&endpoint))?;
    let file = key_file(hash);
    let content = masters
        .read(&file, Guard::Own)?
        .ok_or_else(|| damaged(&endpoint))?;
    let key = PublicKey::parse(&content).map_err(|_| damaged(&file))?;
    if key.hash() == hash {
        Ok(Some(key))
    } else {
        Err(damaged(&file))
    }
}

/// Keeps the key, then that it is this master's: the other way round, a name could lead nowhere.
pub(super) fn pin(
    directory: &Directory,
    master: &MasterName,
    key: &PublicKey,
) -> Result<(), PkiError> {
    let masters = directory.make_below(MASTERS)?;
    let file = key_file(key.hash());
    let text = key.to_file();
    if masters.read(&file, Guard::Own)?.as_deref() != Some(text.as_bytes()) {
        masters.replace(&file, text.as_bytes(), Outlives::PowerCut)?;
    }
    let endpoint = endpoint_file(master);
    let line = format!("{}\n", key.hash());
    if masters.read(&endpoint, Guard::Own)?.as_deref() != Some(line.as_bytes()) {
        masters.replace(&endpoint, line.as_bytes(), Outlives::PowerCut)?;
    }
    Ok(())
}

/// How far the publications under an AES key had come.
pub(super) fn serial(
    directory: &Directory,
    master: &PublicKey,
    aes: KeyId,
) -> Result<Option<u64>, PkiError> {
    let Some(masters) = directory.below(MASTERS)? else {
        return Ok(None);
    };
    let aes = aes.to_string();
    let serials = serials(&masters, master)?;
    Ok(serials
        .iter()
        .find(|(key, _)| *key == aes)
        .map(|(_, serial)| *serial))
}

/// Keeps how far they have come: for the next process, not beyond a power cut. Every publication that
/// is heard comes here before the next one is read, and what a disk needs for it would be the
/// minion's pace.
///
/// An AES key that is not among the last [`MOST_KEYS`] is forgotten: a master has one at a time,
/// and shows an old one again only if its session was never renewed.
pub(super) fn keep_serial(
    directory: &Directory,
    master: &PublicKey,
    aes: KeyId,
    serial: u64,
) -> Result<(), PkiError> {
    let masters = directory.make_below(MASTERS)?;
    let aes = aes.to_string();
    let mut serials = serials(&masters, master)?;
    let before = serials
        .iter()
        .find(|(key, _)| *key == aes)
        .map(|(_, serial)| *serial);
    if before.is_some_and(|before| before >= serial) {
        return Ok(());
    }
    serials.retain(|(key, _)| *key != aes);
    serials.push((aes, serial));
    let forgotten = serials.len().saturating_sub(MOST_KEYS);
    let lines = serials.iter().skip(forgotten);
    let text: String = lines
        .map(|(key, serial)| format!("{key} {serial}\n"))
        .collect();
    masters.replace(&serials_file(master), text.as_bytes(), Outlives::Process)
}

/// The lines `KEY SERIAL`, the latest last.
fn serials(masters: &Directory, master: &PublicKey) -> Result<Vec<(String, u64)>, PkiError> {
    let file = serials_file(master);
    let content = masters.read(&file, Guard::Own)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let parsed = text.lines().map(|line| {
        let (key, serial) = line.split_once(' ')?;
        Some((key.to_owned(), serial.parse().ok()?))
    });
    parsed
        .collect::<Option<_>>()
        .ok_or_else(|| PkiError::Damaged(masters.path().join(file)))
}

fn endpoint_file(master: &MasterName) -> String {
    // A host's name has neither a slash nor a leading dot; see `config::Master`.
    format!("{master}.endpoint")
}

fn key_file(hash: KeyHash) -> String {
    format!("{hash}.pub")
}

fn serials_file(master: &PublicKey) -> String {
    format!("{}.serials", master.hash())
}

const MASTERS: &str = "masters";
const REVOKED: &str = "revoked_masters";
const MOST_KEYS: usize = 8;
