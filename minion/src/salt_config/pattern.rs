//! Python's `glob.glob` and `os.path.expanduser`, as far as Salt's `include` uses them.
//!
//! A crate for globs has rules of its own for hidden files, braces and `**`; what counts here is
//! which files Salt reads.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Uid, User};

use super::planned::Planned;

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
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let hidden = name.starts_with(b".") && !pattern.starts_with(b".");
        !hidden && fits(pattern, name)
    });
    Ok(paths)
}

fn is_magic(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Python's `fnmatch`: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        b'*' => {
            fits(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, later)| fits(pattern, later))
        }
        b'?' => name
            .split_first()
            .is_some_and(|(_, later)| fits(rest, later)),
        b'[' if class_end(rest).is_some() => {
            let end = class_end(rest).unwrap_or(0);
            let (class, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let after = after.strip_prefix(b"]").unwrap_or(after);
            name.split_first()
                .is_some_and(|(byte, later)| in_class(class, *byte) && fits(after, later))
        }
        literal => name
            .split_first()
            .is_some_and(|(byte, later)| byte == literal && fits(rest, later)),
    }
}

/// Where the class ends; a `]` right after `[` or `[!` stands for itself.
fn class_end(after_bracket: &[u8]) -> Option<usize> {
    let skip = usize::from(after_bracket.starts_with(b"!")).saturating_add(1);
    after_bracket
        .iter()
        .enumerate()
        .skip(skip)
        .find(|(_, byte)| **byte == b']')
        .map(|(index, _)| index)
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let (negated, mut members) = match class.strip_prefix(b"!") {
        Some(members) => (true, members),
        None => (false, class),
    };
    let mut found = false;
    while let Some((low, rest)) = members.split_first() {
        members = rest;
        if let [b'-', high, rest @ ..] = members {
            found |= (*low..=*high).contains(&byte);
            members = rest;
        } else {
            found |= *low == byte;
        }
    }
    found != negated
}

/// Python's `sorted` on paths: by their text, not by their components.
fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
}
