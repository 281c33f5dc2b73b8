//! Masters' keys: real ones, because each has to sign a proof.
//!
//! Making hundreds of them takes longer than measuring, so they are kept under the user's cache
//! directory for the next run. They are worth nothing to anybody.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;

/// Where this project keeps things for the next run.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cache"),
    };
    Ok(cache.join("mastersign"))
}

/// So many different RSA-2048 keys.
pub(crate) fn some(count: usize) -> Result<Vec<PKey<Private>>> {
    let folder = cache()?.join("bench-keys");
    fs::create_dir_all(&folder)?;
    (0..count)
        .map(|number| {
            let path = folder.join(format!("{number}.pem"));
            if let Ok(pem) = fs::read(&path) {
                return Ok(PKey::private_key_from_pem(&pem)?);
            }
            let key = PKey::from_rsa(Rsa::generate(2048)?)?;
            let partial = folder.join(format!("{number}.{}", std::process::id()));
            fs::write(&partial, key.private_key_to_pem_pkcs8()?)?;
            fs::rename(partial, path)?;
            Ok(key)
        })
        .collect()
}
