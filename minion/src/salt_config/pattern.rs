//! Python's `glob.glob` and `os.path.expanduser`, as far as Salt's `include` uses them.
//!
//! A crate for globs has rules of its own for hidden files, braces and `**`; what counts here is
//! which files Salt reads.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Uid, User};

use super::planned::Planned;
use crate::fnmatch;

/// The files that a pattern names, sorted; none if nothing matches. A planned file
/// counts as if it were there.
pub(super) fn matches(pattern: &Path, planned: Option<&Planned>) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        found = match part {
            Component::Normal(name) if is_magic(name.as_bytes()) => {
                let mut next = Vec::new();
                for directory in &found {
                    next.extend(children(directory, name.as_bytes(), planned)?);
                }
                next
            }
            Component::Normal(_)
            | Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => found.into_iter().map(|path| path.join(part)).collect(),
        };
    }
    found.retain(|path| {
        path.symlink_metadata().is_ok() || planned.is_some_and(|planned| planned.is_at(path))
    });
    sort(&mut found);
    Ok(found)
}

/// Replaces a leading `~` or `~name` by the home directory; an unknown name stays as it is, as in
/// Python.
pub(super) fn expand_home(path: &str) -> PathBuf {
    let Some(rest) = path.strip_prefix('~') else {
        return PathBuf::from(path);
    };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let user = if name.is_empty() {
        User::from_uid(Uid::current())
    } else {
        User::from_name(name)
    };
    match user {
        Ok(Some(user)) => user.dir.join(rest),
        Ok(None) | Err(_) => PathBuf::from(path),
    }
}

fn children(
    directory: &Path,
    pattern: &[u8],
    planned: Option<&Planned>,
) -> io::Result<Vec<PathBuf>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    if let Some(planned) = planned
        && planned.is_in(directory)
    {
        let path = directory.join(planned.name());
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    // What is no UTF-8 is no letter of a pattern, as in Python.
    let pattern = String::from_utf8_lossy(pattern);
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        let hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with('.');
        !hidden && fnmatch::matches(&pattern, &name.to_string_lossy())
    });
    Ok(paths)
}

fn is_magic(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Python's `sorted` on paths: by their text, not by their components.
fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let directory = tempfile::tempdir().unwrap();
        let name = "a".repeat(200);
        std::fs::write(directory.path().join(&name), "").unwrap();
        // Tried star by star within star it would take longer than there are hosts to try it.
        for (end, found) in [("b", 0), ("a", 1)] {
            let pattern = format!("{}{end}", "*a".repeat(60));
            let matching = matches(&directory.path().join(pattern), None).unwrap();
            assert_eq!(matching.len(), found, "{end}");
        }
    }

    #[test]
    fn a_pattern_is_pythons() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.conf", "b.conf", "é.conf", "]", ".hidden.conf"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        for (pattern, expected) in [
            ("*.conf", &["a.conf", "b.conf", "é.conf"][..]),
            // One letter, whatever its bytes.
            ("?.conf", &["a.conf", "b.conf", "é.conf"]),
            ("[!a-b].conf", &["é.conf"]),
            ("[]]", &["]"]),
            (".*", &[".hidden.conf"]),
            ("{a,b}.conf", &[]),
        ] {
            let found = matches(&directory.path().join(pattern), None).unwrap();
            let names = found.iter().map(|path| path.file_name().unwrap());
            assert_eq!(names.collect::<Vec<_>>(), expected, "{pattern}");
        }
    }
}
