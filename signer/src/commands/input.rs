//! Files that somebody names on the command line.
//!
//! One of them may be a device or a pipe without an end, by mistake or because somebody else put it
//! there, so each is read up to what it can sensibly have.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};

/// The whole of a file that has at most `most` bytes.
pub(super) fn bytes(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("failed to read {}", path.display());
    let file = File::open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let read = u64::try_from(read.with_context(failed)?)?;
    ensure!(
        read <= most,
        "{} has more than {most} bytes, which is too much for what it should be; is it the right \
         file?",
        path.display()
    );
    Ok(bytes)
}

/// The same of a text.
pub(super) fn text(path: &Path, most: u64) -> anyhow::Result<String> {
    let text = String::from_utf8(bytes(path, most)?);
    text.with_context(|| format!("{} is no text", path.display()))
}

/// A request, an answer, a certificate with its intermediates: some KiB each.
pub(super) const DOCUMENT: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_it_can_be_is_refused_and_not_read_to_its_end() {
        let error = text(Path::new("/dev/zero"), DOCUMENT).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/dev/zero has more than 262144"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(text(&path, 4).unwrap(), "1234");
        assert!(text(&path, 3).is_err());
        assert!(bytes(&directory.path().join("none"), 3).is_err());
    }
}
