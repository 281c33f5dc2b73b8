//! Paths below `root_dir`.

use std::path::{Component, Path, PathBuf};

/// Salt's `prepend_root_dir`: a path that is not inside `root_dir` is put below it, absolute ones
/// as well.
///
/// Salt 3008.5, `salt/config/__init__.py`: with its own root, `/`, every absolute path counts as
/// one below the default root and is moved below the configured one.
#[must_use]
pub fn below(root_dir: &Path, path: &Path) -> PathBuf {
    if path.starts_with(root_dir) && path != root_dir {
        return normal(path);
    }
    let relative: PathBuf = path
        .components()
        .filter(|part| !matches!(part, Component::RootDir))
        .collect();
    normal(&root_dir.join(relative))
}

/// Python's `normpath`: `.` and `..` are resolved in the text, as Salt does.
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_dir_is_put_before_every_path_that_is_not_below_it() {
        for (root, path, expected) in [
            ("/", "/etc/salt/pki/minion", "/etc/salt/pki/minion"),
            ("/srv", "/etc/salt", "/srv/etc/salt"),
            ("/srv", "/srv/pki", "/srv/pki"),
            ("/srv", "/srved/pki", "/srv/srved/pki"),
            ("/srv", "pki/minion", "/srv/pki/minion"),
            ("/srv/", "./pki/../keys/", "/srv/keys"),
        ] {
            assert_eq!(below(Path::new(root), Path::new(path)), Path::new(expected));
        }
    }
}
