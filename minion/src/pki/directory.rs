//! A directory of keys, held open, and the ways in which a file gets into it.
//!
//! The directory is opened once and every name is one component below that descriptor. New content
//! goes into a file that did not exist before (`O_EXCL`, mode 0400 or 0600 from the start), is on
//! the disk before it has its name, and takes the name at once. What the minion writes itself is
//! read without following links; what an operator puts there may be one.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fsync, geteuid, linkat, unlinkat};

use super::PkiError;

/// An open directory that nobody may change but root and one user: whoever this is, or for root the
/// directory's owner.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    user: Uid,
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nobody else may read it.
    Private,
    /// Nobody else may write it.
    Trusted,
    /// As [`Trusted`](Self::Trusted), and it must not be a link: this minion makes none.
    Own,
}

/// What a file that was written outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlives {
    /// This process: the system has it.
    Process,
    /// A power cut as well: it is on the disk.
    PowerCut,
}

/// Makes a directory with those above it, for its owner alone, if there is none.
pub(super) fn make(path: &Path) -> Result<(), PkiError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(|source| io_error("make", above, source))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error("make", path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, PkiError> {
        match openat(AT_FDCWD, path, DIRECTORY, Mode::empty()) {
            Ok(fd) => {
                let stat = fstat(&fd).map_err(|errno| io_error("inspect", path, errno.into()))?;
                // Root's configuration may point at the directory of the minion's user.
                let user = geteuid();
                let user = if user.is_root() {
                    Uid::from_raw(stat.st_uid)
                } else {
                    user
                };
                Self::checked(fd, path, user)
            }
            Err(Errno::ENOENT) => Err(PkiError::NoDirectory(path.to_owned())),
            Err(errno) => Err(io_error("open", path, errno.into())),
        }
    }

    /// A directory in this one; none if there is none.
    pub(super) fn below(&self, name: &str) -> Result<Option<Self>, PkiError> {
        let path = self.path.join(name);
        match openat(&self.fd, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => Self::checked(fd, &path, self.user).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(io_error("open", &path, errno.into())),
        }
    }

    /// A directory in this one, which is made if there is none.
    pub(super) fn make_below(&self, name: &str) -> Result<Self, PkiError> {
        if let Some(directory) = self.below(name)? {
            return Ok(directory);
        }
        let path = self.path.join(name);
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) => self.settle()?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(io_error("make", &path, errno.into())),
        }
        self.below(name)?.ok_or(PkiError::NoDirectory(path))
    }

    fn checked(fd: OwnedFd, path: &Path, user: Uid) -> Result<Self, PkiError> {
        let stat = fstat(&fd).map_err(|errno| io_error("inspect", path, errno.into()))?;
        check(&stat, path, user, OTHERS_WRITE, |path, mode| {
            PkiError::Writable { path, mode }
        })?;
        let path = path.to_owned();
        Ok(Self { fd, path, user })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of what is in it, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, PkiError> {
        let failed = |errno: Errno| io_error("read", &self.path, errno.into());
        let mut directory = Dir::openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let name = entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads a file; none if there is none.
    pub(super) fn read(&self, name: &str, guard: Guard) -> Result<Option<Vec<u8>>, PkiError> {
        let path = self.path.join(name);
        let flags = match guard {
            Guard::Own => OFlag::O_NOFOLLOW,
            Guard::Private | Guard::Trusted => OFlag::empty(),
        };
        let fd = match openat(&self.fd, name, READ | flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(PkiError::NotAFile(path)),
            Err(errno) => return Err(io_error("open", &path, errno.into())),
        };
        let stat = fstat(&fd).map_err(|errno| io_error("inspect", &path, errno.into()))?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if kind != SFlag::S_IFREG || stat.st_size > LARGEST {
            return Err(PkiError::NotAFile(path));
        }
        match guard {
            Guard::Private => check(&stat, &path, self.user, OTHERS_ALL, |path, mode| {
                PkiError::Readable { path, mode }
            }),
            Guard::Trusted | Guard::Own => {
                check(&stat, &path, self.user, OTHERS_WRITE, |path, mode| {
                    PkiError::Writable { path, mode }
                })
            }
        }?;
        // With room for all of it, a private key is not left behind where the buffer grew.
        let size = usize::try_from(stat.st_size).unwrap_or_default();
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        File::from(fd)
            .take(LARGEST.unsigned_abs())
            .read_to_end(&mut bytes)
            .map_err(|source| io_error("read", &path, source))?;
        Ok(Some(bytes))
    }

    /// Puts a file in the place of `name`: whoever opens the name sees the old one or the new one.
    /// After a power cut that it does not outlive, the file may also be empty.
    pub(super) fn replace(
        &self,
        name: &str,
        content: &[u8],
        outlives: Outlives,
    ) -> Result<(), PkiError> {
        let temporary = self.temporary(content, Mode::S_IRUSR | Mode::S_IWUSR, outlives)?;
        let renamed = renameat(&self.fd, temporary.as_str(), &self.fd, name);
        if let Err(errno) = renamed {
            self.remove(&temporary);
            return Err(io_error("replace", &self.path.join(name), errno.into()));
        }
        match outlives {
            Outlives::Process => Ok(()),
            Outlives::PowerCut => self.settle(),
        }
    }

    /// Puts a file where there is none; says whether it is this one that is there now.
    pub(super) fn create(&self, name: &str, content: &[u8], mode: Mode) -> Result<bool, PkiError> {
        let temporary = self.temporary(content, mode, Outlives::PowerCut)?;
        // Unlike a rename, a link never replaces anything.
        let linked = linkat(
            &self.fd,
            temporary.as_str(),
            &self.fd,
            name,
            AtFlags::empty(),
        );
        self.remove(&temporary);
        match linked {
            Ok(()) => self.settle().map(|()| true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(io_error("create", &self.path.join(name), errno.into())),
        }
    }

    /// A new file under a name that nobody knows, whole.
    fn temporary(
        &self,
        content: &[u8],
        mode: Mode,
        outlives: Outlives,
    ) -> Result<String, PkiError> {
        let mut random = [0; 16];
        openssl::rand::rand_bytes(&mut random)
            .map_err(|stack| io_error("find a name in", &self.path, io::Error::other(stack)))?;
        let name = format!(".mastersign-{:032x}", u128::from_le_bytes(random));
        let path = self.path.join(&name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let fd = openat(&self.fd, name.as_str(), flags | OFlag::O_CLOEXEC, mode)
            .map_err(|errno| io_error("create", &path, errno.into()))?;
        let mut file = File::from(fd);
        let written = file.write_all(content).and_then(|()| match outlives {
            Outlives::Process => Ok(()),
            Outlives::PowerCut => file.sync_all(),
        });
        if let Err(source) = written {
            self.remove(&name);
            return Err(io_error("write", &path, source));
        }
        Ok(name)
    }

    fn remove(&self, temporary: &str) {
        // A file that stays behind under such a name is in nobody's way.
        let _ = unlinkat(&self.fd, temporary, UnlinkatFlags::NoRemoveDir);
    }

    fn settle(&self) -> Result<(), PkiError> {
        fsync(self.fd.as_fd())
            .map_err(|errno| io_error("make the change last in", &self.path, errno.into()))
    }
}

fn check(
    stat: &FileStat,
    path: &Path,
    user: Uid,
    forbidden: u32,
    error: impl FnOnce(PathBuf, u32) -> PkiError,
) -> Result<(), PkiError> {
    if stat.st_uid != 0 && stat.st_uid != user.as_raw() {
        return Err(PkiError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
            user: user.as_raw(),
        });
    }
    if stat.st_mode & forbidden != 0 {
        return Err(error(path.to_owned(), stat.st_mode & 0o7777));
    }
    Ok(())
}

fn io_error(verb: &'static str, path: &Path, source: io::Error) -> PkiError {
    PkiError::Io {
        verb,
        path: path.to_owned(),
        source,
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ALL: u32 = 0o077;
/// An RSA key of 16,384 bits in PEM has 13 KiB, a list of a thousand hashes 64.
const LARGEST: i64 = 256 * 1024;
