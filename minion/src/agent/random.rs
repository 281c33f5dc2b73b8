//! Randomness from OpenSSL's generator, which the system seeds.

use openssl::rand::rand_bytes;

use crate::wire::crypticle::Iv;
use crate::wire::nonce::Nonce;

/// A nonce that was never used.
pub(super) fn nonce() -> Result<Nonce, NoRandomness> {
    Ok(Nonce::new(bytes()?))
}

/// An initialisation vector that was never used.
pub(super) fn iv() -> Result<Iv, NoRandomness> {
    Ok(Iv::new(bytes()?))
}

/// A seed for jitter.
pub(super) fn seed() -> Result<u64, NoRandomness> {
    Ok(u64::from_ne_bytes(bytes()?))
}

/// Random bytes.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The system has no randomness to give, so nothing secret can be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("OpenSSL's random generator failed; is /dev/urandom there?")]
pub struct NoRandomness;
