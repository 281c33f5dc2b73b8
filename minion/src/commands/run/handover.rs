//! What root hands over to the user that the minion becomes.
//!
//! A unit that makes the directories (`CacheDirectory=`, `LogsDirectory=`) makes them root's, and
//! salt-minion takes them over (Salt 3008.5, `salt/utils/verify.py`, `verify_env` and `verify_files`).
//! Nothing is handed over on a way that anybody but root could bend: no component is a link, and root
//! owns each directory on the way. Otherwise it stays whose it is.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, User, fchown};

/// Hands over an existing directory, but for one that everybody may search when `private`: `/var/log`
/// is nobody's own.
pub(super) fn directory(path: &Path, user: &User, private: bool) -> io::Result<()> {
    let Some((above, name)) = way(path)? else {
        return Ok(());
    };
    let Some(found) = existing(openat(&above, name.as_str(), DIRECTORY, Mode::empty()))? else {
        return Ok(());
    };
    let stat = fstat(&found)?;
    if private && stat.st_mode & OTHERS_SEARCH != 0 {
        return Ok(());
    }
    give(&found, &stat, user)
}

/// Makes a file to append to, readable for its group, if there is none, and hands it over.
pub(super) fn file(path: &Path, user: &User) -> io::Result<()> {
    let Some((above, name)) = way(path)? else {
        return Ok(());
    };
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP;
    let Some(found) = existing(openat(&above, name.as_str(), FILE, mode))? else {
        return Ok(());
    };
    let stat = fstat(&found)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    // With a second name it may be anything.
    if kind != SFlag::S_IFREG || stat.st_nlink != 1 {
        return Ok(());
    }
    give(&found, &stat, user)
}

fn give(found: &OwnedFd, stat: &FileStat, user: &User) -> io::Result<()> {
    let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    if (owner, group) == (user.uid, user.gid) {
        return Ok(());
    }
    Ok(fchown(found, Some(user.uid), Some(user.gid))?)
}

/// The directory above, and the last name; none if somebody else than root could have made the way
/// lead here.
fn way(path: &Path) -> io::Result<Option<(OwnedFd, String)>> {
    let (Some(above), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(None);
    };
    // Root's own links are followed here, and no others below.
    let above = match above.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        above => above?,
    };
    let mut at = openat(AT_FDCWD, "/", DIRECTORY, Mode::empty())?;
    for component in above.components() {
        if let Component::Normal(next) = component {
            at = match existing(openat(&at, next, DIRECTORY, Mode::empty()))? {
                Some(next) => next,
                None => return Ok(None),
            };
        }
        let stat = fstat(&at)?;
        let open = stat.st_mode & OTHERS_WRITE != 0 && stat.st_mode & STICKY == 0;
        if stat.st_uid != 0 || open {
            return Ok(None);
        }
    }
    Ok(Some((at, name.to_owned())))
}

/// What is a link, or not what it should be, is passed over.
fn existing(opened: nix::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ELOOP | Errno::ENOTDIR | Errno::ENOENT | Errno::EISDIR | Errno::ENXIO) => {
            Ok(None)
        }
        Err(errno) => Err(errno.into()),
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
const FILE: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_APPEND)
    .union(OFlag::O_CREAT)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);
const OTHERS_SEARCH: u32 = 0o001;
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
