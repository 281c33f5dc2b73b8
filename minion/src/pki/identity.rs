//! The minion's own key: `minion.pem`, and `minion.pub` beside it.

use nix::sys::stat::Mode;
use openssl::rsa::Rsa;
use zeroize::Zeroizing;

use super::PkiError;
use super::directory::{Directory, Guard};
use crate::wire::private_key::PrivateKey;

/// Reads the key; none if there is none.
pub(super) fn load(directory: &Directory) -> Result<Option<PrivateKey>, PkiError> {
    let Some(pem) = directory.read(PRIVATE, Guard::Private)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let key = PrivateKey::from_pem(&pem).map_err(|source| PkiError::Private {
        path: directory.path().join(PRIVATE),
        source,
    })?;
    Ok(Some(key))
}

/// Reads the key, or makes one; if somebody else makes one at the same time, theirs is used.
pub(super) fn load_or_make(directory: &Directory, keysize: u32) -> Result<PrivateKey, PkiError> {
    let key = match load(directory)? {
        Some(key) => key,
        None => make(directory, keysize)?,
    };
    // Salt's tools read it; a start that was interrupted may have left it out.
    let public = key.public().to_file();
    directory.create(PUBLIC, public.as_bytes(), WORLD_READABLE)?;
    Ok(key)
}

fn make(directory: &Directory, keysize: u32) -> Result<PrivateKey, PkiError> {
    if directory.read(PUBLIC, Guard::Trusted)?.is_some() {
        return Err(PkiError::Orphan(directory.path().join(PUBLIC)));
    }
    let pem = generate(keysize).map_err(|source| PkiError::Generate {
        bits: keysize,
        source,
    })?;
    directory.create(PRIVATE, &pem, Mode::S_IRUSR)?;
    load(directory)?.ok_or_else(|| PkiError::NoIdentity(directory.path().join(PRIVATE)))
}

/// PKCS#1 in PEM, as Salt writes it (Salt 3008.5, `salt/crypt.py`, `gen_keys`:
/// `TraditionalOpenSSL`), so that a stock minion can go on with the key.
fn generate(keysize: u32) -> Result<Zeroizing<Vec<u8>>, openssl::error::ErrorStack> {
    Rsa::generate(keysize)?
        .private_key_to_pem()
        .map(Zeroizing::new)
}

/// The private key's name.
pub(super) const PRIVATE: &str = "minion.pem";
const PUBLIC: &str = "minion.pub";
const WORLD_READABLE: Mode = Mode::S_IRUSR
    .union(Mode::S_IWUSR)
    .union(Mode::S_IRGRP)
    .union(Mode::S_IROTH);
