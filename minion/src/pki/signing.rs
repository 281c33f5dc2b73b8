//! The keys that may sign a master's key.
//!
//! Salt has one, for ever. Here there can be more, each from and until a time, so that a rotation
//! overlaps: the new key is laid into `master_sign.d` on every minion before any master shows its
//! signature, and the old one ends when none does any more.

use std::time::SystemTime;

use super::PkiError;
use super::directory::{Directory, Guard};
use crate::verify::{KeyError, PublicKey};

/// A key whose signature makes a master's key believable.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// The file's name.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// It counts from this moment on.
    pub not_before: Option<SystemTime>,
    /// It counts until this moment.
    pub not_after: Option<SystemTime>,
}

impl SigningKey {
    /// Whether it counts now.
    #[must_use]
    pub fn is_current(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|begin| begin <= now)
            && self.not_after.is_none_or(|end| now < end)
    }
}

/// Reads `NAME.pub` and all of `NAME.d/*.pub`.
pub(super) fn load(directory: &Directory, name: &str) -> Result<Vec<SigningKey>, PkiError> {
    let main = format!("{name}.pub");
    let mut keys = Vec::new();
    if let Some(content) = directory.read(&main, Guard::Trusted)? {
        keys.push(parse(directory, &main, &content, Lines::None)?);
    }
    if let Some(more) = directory.below(&format!("{name}.d"))? {
        for file in more.names()? {
            let visible = !file.starts_with('.') && file.ends_with(".pub");
            let content = if visible {
                more.read(&file, Guard::Trusted)?
            } else {
                None
            };
            if let Some(content) = content {
                keys.push(parse(&more, &file, &content, Lines::Validity)?);
            }
        }
    }
    if keys.is_empty() {
        return Err(PkiError::NoSigningKey(directory.path().join(main)));
    }
    Ok(keys)
}

/// What may stand before the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Nothing: Salt reads the file as well.
    None,
    /// From when and until when it counts.
    Validity,
}

fn parse(
    directory: &Directory,
    name: &str,
    content: &[u8],
    lines: Lines,
) -> Result<SigningKey, PkiError> {
    let path = directory.path().join(name);
    let wrong = |source| PkiError::Key {
        path: path.clone(),
        source,
    };
    let mut text = std::str::from_utf8(content).map_err(|_| wrong(KeyError::NotText))?;
    let (mut not_before, mut not_after) = (None, None);
    let mut number: usize = 0;
    while let Some((line, rest)) = text
        .split_once('\n')
        .filter(|(line, _)| lines == Lines::Validity && !line.starts_with("-----"))
    {
        number = number.saturating_add(1);
        text = rest;
        let bound = |label: &str| line.strip_prefix(label).map(time);
        let (slot, time) = match (bound("# not-before:"), bound("# not-after:")) {
            (Some(Some(time)), _) => (&mut not_before, time),
            (_, Some(Some(time))) => (&mut not_after, time),
            _ if line.trim().is_empty() => continue,
            _ => return Err(PkiError::Validity { path, line: number }),
        };
        if slot.replace(time).is_some() {
            return Err(PkiError::Validity { path, line: number });
        }
    }
    let key = PublicKey::decode(text).map_err(wrong)?;
    if !key.is_acceptable() {
        let bits = key.bits();
        return Err(PkiError::Weak { path, bits });
    }
    Ok(SigningKey {
        name: name.to_owned(),
        key,
        not_before,
        not_after,
    })
}

fn time(text: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    SystemTime::try_from(time).ok()
}
