//! The memory of wrong PINs.
//!
//! A token locks itself after a few wrong PINs, and a service that restarts on failure presents the
//! same wrong PIN at every start. So a PIN that was refused is remembered, in the store and over
//! restarts, until the configuration gives another one or an operator lifts the latch. What is
//! remembered is a keyed hash: the key stays in a file on this machine, because a PIN is short
//! enough to be guessed from a plain hash, and the store may be copied elsewhere.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use aws_lc_rs::{hmac, rand};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Remembers refused PINs durably; the store implements it.
pub trait PinLatch: Send + Sync + fmt::Debug {
    /// Whether this PIN was refused by this token before.
    fn is_latched(&self, serial: &str, tag: &[u8; 32]) -> bool;

    /// Remembers that this token refused this PIN.
    ///
    /// # Errors
    ///
    /// Fails if it could not be made durable. The pool does not try the PIN again in this process
    /// either way.
    fn latch<'a>(
        &'a self,
        serial: &'a str,
        tag: [u8; 32],
        reason: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), LatchError>> + Send + 'a>>;
}

/// The latch was not written.
#[derive(Debug, thiserror::Error)]
#[error("failed to record that the token {serial} refused its PIN")]
pub struct LatchError {
    /// The token's serial number.
    pub serial: String,
    /// What the store said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The key of this machine under which PINs become tags.
#[derive(Clone)]
pub struct LatchKey(hmac::Key);

impl LatchKey {
    /// Reads the key from `latch.key` in `directory`, or makes it at the first start.
    ///
    /// # Errors
    ///
    /// Fails if the file can neither be read nor made, or does not hold 32 bytes.
    pub fn open(directory: &Path) -> Result<Self, LatchKeyError> {
        let path = directory.join(FILE);
        let failed = |source| LatchKeyError {
            path: path.clone(),
            source,
        };
        match File::open(&path) {
            Ok(file) => Self::read(file).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(&path).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Wraps a key that is already in memory.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// What the latch remembers of a PIN: HMAC-SHA256 over serial, a zero byte, and the PIN.
    #[must_use]
    pub fn tag(&self, serial: &str, pin: &SecretString) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(serial.as_bytes());
        context.update(&[0]);
        context.update(pin.expose_secret().as_bytes());
        let mut tag = [0; 32];
        tag.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        tag
    }

    fn read(mut file: File) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        file.read_exact(key.as_mut())?;
        if file.read(&mut [0])? == 0 {
            Ok(Self::new(&key))
        } else {
            Err(io::Error::other("the file is longer than the key"))
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut()).map_err(|_| io::Error::other("no randomness"))?;
        // A crash between the two leaves a short temporary file, never a short key.
        let unfinished = path.with_extension("new");
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // It must be ours and new: a link in its place would lead the key elsewhere.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(key.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self::new(&key))
    }
}

impl fmt::Debug for LatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LatchKey")
    }
}

/// The key of the latch is neither there nor to be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to read or make the key of the PIN latch, {path}")]
pub struct LatchKeyError {
    path: PathBuf,
    source: io::Error,
}

const FILE: &str = "latch.key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let pin = SecretString::from("1234");
        let first = LatchKey::open(directory.path()).unwrap().tag("s", &pin);
        let second = LatchKey::open(directory.path()).unwrap().tag("s", &pin);
        assert_eq!(first, second);
    }

    #[test]
    fn a_link_in_the_place_of_the_unfinished_key_leads_it_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        let unfinished = directory.path().join(FILE).with_extension("new");
        std::os::unix::fs::symlink(&elsewhere, unfinished).unwrap();
        LatchKey::open(directory.path()).unwrap();
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"untouched");
    }

    #[test]
    fn a_damaged_key_is_refused_rather_than_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for damaged in [&[1; 31][..], &[1; 33][..]] {
            std::fs::write(directory.path().join(FILE), damaged).unwrap();
            assert!(LatchKey::open(directory.path()).is_err());
        }
    }

    #[test]
    fn tags_differ_by_token_pin_and_machine() {
        let key = LatchKey::new(&[1; 32]);
        let pin = SecretString::from("1234");
        let tag = key.tag("serial", &pin);
        assert_ne!(tag, key.tag("serial", &SecretString::from("12345")));
        assert_ne!(tag, key.tag("serial2", &pin));
        assert_ne!(tag, LatchKey::new(&[2; 32]).tag("serial", &pin));
    }

    #[test]
    fn serial_and_pin_do_not_run_into_each_other() {
        let key = LatchKey::new(&[1; 32]);
        assert_ne!(
            key.tag("1", &SecretString::from("23")),
            key.tag("12", &SecretString::from("3"))
        );
    }
}
