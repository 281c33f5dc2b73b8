//! Salt's `pki_dir`, held open, and the one way in which a file is put there.
//!
//! Whoever owns the directory can plant links in it at any moment, so nothing here resolves a path
//! twice: the directory is opened once, every name is one component below that descriptor, the new
//! content goes into a file that did not exist before (`O_EXCL`, `O_NOFOLLOW`), and the mode is set
//! on the descriptor. Links are followed only to read.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use uuid::Uuid;

/// A plain file name: one path component, and none of the names that Salt uses for keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// Checks a name from the configuration.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, DirectoryError> {
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        let key = [".pem", ".pub"].iter().any(|end| name.ends_with(end));
        if plain && !key {
            Ok(Self(name.to_owned()))
        } else {
            Err(DirectoryError::Name(name.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An open directory.
#[derive(Debug)]
pub struct PkiDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl PkiDir {
    /// Opens a directory that must belong to `owner`, the user that this process runs as.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened, belongs to somebody else, or may be written by everybody.
    pub fn open_own(path: &Path, owner: u32) -> Result<Self, DirectoryError> {
        let fd =
            open(path, DIRECTORY, Mode::empty()).map_err(|errno| failed("open", path, errno))?;
        let stat = fstat(&fd).map_err(|errno| failed("inspect", path, errno))?;
        if stat.st_uid != owner {
            return Err(DirectoryError::Owner {
                path: path.to_owned(),
                owner: stat.st_uid,
                user: owner,
            });
        }
        if stat.st_mode & OTHERS_WRITE != 0 {
            return Err(DirectoryError::Writable {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens a directory of root's, component by component: nobody else may have chosen where the
    /// path leads.
    ///
    /// A directory that others may write is passed only if it is sticky, like `/tmp`, and what was
    /// opened in it is root's.
    ///
    /// # Errors
    ///
    /// Names the first component that somebody else could have made or could replace.
    pub fn open_as_root(path: &Path) -> Result<Self, DirectoryError> {
        let mut fd = open("/", DIRECTORY, Mode::empty())
            .map_err(|errno| failed("open", Path::new("/"), errno))?;
        let mut at = PathBuf::from("/");
        let mut left: VecDeque<OsString> = components(path)?;
        let mut links = 0_u8;
        while let Some(name) = left.pop_front() {
            let next = at.join(&name);
            let stat = fstatat(&fd, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(|errno| failed("inspect", &next, errno))?;
            if kind(&stat) == SFlag::S_IFLNK {
                links = links.saturating_add(1);
                if links > MOST_LINKS || stat.st_uid != 0 || is_writable(&fd, &at)? {
                    return Err(DirectoryError::Writable { path: next });
                }
                let target = readlinkat(&fd, name.as_os_str())
                    .map_err(|errno| failed("read the link", &next, errno))?;
                for part in components(&at.join(target))?.into_iter().rev() {
                    left.push_front(part);
                }
                fd = open("/", DIRECTORY, Mode::empty())
                    .map_err(|errno| failed("open", Path::new("/"), errno))?;
                at = PathBuf::from("/");
                continue;
            }
            fd = openat(
                &fd,
                name.as_os_str(),
                DIRECTORY | OFlag::O_NOFOLLOW,
                Mode::empty(),
            )
            .map_err(|errno| failed("open", &next, errno))?;
            at = next;
            let sticky_is_enough = !left.is_empty();
            trust(&fd, &at, sticky_is_enough)?;
        }
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// The path it was opened by, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file, following links; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if it is no regular file, larger than a key can be, or unreadable.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.content(name, OFlag::empty())
    }

    /// Reads a file that must not be a link; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`DirectoryError::Link`].
    pub fn read_no_link(&self, name: &FileName) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.content(name.as_str(), OFlag::O_NOFOLLOW)
    }

    /// Where a link leads; `None` if it is none.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<PathBuf> {
        readlinkat(&self.fd, name).ok().map(PathBuf::from)
    }

    /// Whether there is anything of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Puts `content` in the place of `name` at once: whoever opens the name sees the old content
    /// or the new one.
    ///
    /// # Errors
    ///
    /// The old file is untouched by every error except one of the last step, which is then named.
    pub fn replace(&self, name: &FileName, content: &[u8]) -> Result<(), DirectoryError> {
        // A link of the owner's would be replaced, not followed; that is safe but not what its
        // maker wants.
        self.read_no_link(name)?;
        let names = std::iter::repeat_with(|| format!(".mastersign-{}", Uuid::new_v4().simple()));
        let (temporary, mut file) = self.create(names.take(ATTEMPTS))?;
        let written = file
            .write_all(content)
            .map_err(|source| self.error("write", &temporary.0, source))
            .and_then(|()| {
                // Readable for every user that salt-master may run as; there is nothing secret in a
                // signature.
                fchmod(&file, Mode::from_bits_truncate(0o644))
                    .and_then(|()| fsync(&file))
                    .map_err(|errno| self.error("finish", &temporary.0, errno.into()))
            })
            .and_then(|()| {
                renameat(&self.fd, temporary.as_str(), &self.fd, name.as_str())
                    .map_err(|errno| self.error("replace", name.as_str(), errno.into()))
            });
        if let Err(error) = written {
            let _ = unlinkat(&self.fd, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        fsync(&self.fd).map_err(|errno| failed("make the change last in", &self.path, errno))
    }

    /// Takes a file away; false if there was none.
    ///
    /// # Errors
    ///
    /// Fails on a link, and if the system does not let us.
    pub fn remove(&self, name: &FileName) -> Result<bool, DirectoryError> {
        if self.read_no_link(name)?.is_none() {
            return Ok(false);
        }
        unlinkat(&self.fd, name.as_str(), UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| self.error("remove", name.as_str(), errno.into()))?;
        fsync(&self.fd).map_err(|errno| failed("make the change last in", &self.path, errno))?;
        Ok(true)
    }

    /// Creates the first of `names` that does not exist in any form.
    fn create(
        &self,
        names: impl Iterator<Item = String>,
    ) -> Result<(FileName, File), DirectoryError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        for name in names {
            match openat(&self.fd, name.as_str(), flags | OFlag::O_CLOEXEC, PRIVATE) {
                Ok(fd) => return Ok((FileName(name), File::from(fd))),
                Err(Errno::EEXIST | Errno::ELOOP) => {}
                Err(errno) => return Err(self.error("create", &name, errno.into())),
            }
        }
        Err(self.error("create", ".mastersign-*", Errno::EEXIST.into()))
    }

    fn content(&self, name: &str, extra: OFlag) -> Result<Option<Vec<u8>>, DirectoryError> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = match openat(&self.fd, name, flags | extra, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => {
                return Err(DirectoryError::Link {
                    path: self.path.join(name),
                });
            }
            Err(errno) => return Err(self.error("open", name, errno.into())),
        };
        let stat = fstat(&fd).map_err(|errno| self.error("inspect", name, errno.into()))?;
        if kind(&stat) != SFlag::S_IFREG || stat.st_size > LARGEST_FILE {
            return Err(DirectoryError::NotAFile {
                path: self.path.join(name),
            });
        }
        let mut bytes = Vec::new();
        File::from(fd)
            .take(LARGEST_FILE.unsigned_abs())
            .read_to_end(&mut bytes)
            .map_err(|source| self.error("read", name, source))?;
        Ok(Some(bytes))
    }

    fn error(&self, verb: &'static str, name: &str, source: io::Error) -> DirectoryError {
        DirectoryError::Io {
            verb,
            path: self.path.join(name),
            source,
        }
    }
}

/// Why a directory or a file in it was left alone.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// An operation of the system failed.
    #[error("failed to {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A link in the place of the signature.
    #[error(
        "{} is a symbolic link; Salt keeps its signature in a regular file, so whoever made the \
         link has other plans: look where it leads, then remove it",
        path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A name that is no name for a signature file.
    #[error(
        "master_pubkey_signature is {0:?}; it must be a plain file name in pki_dir and must not \
         end in .pem or .pub"
    )]
    Name(String),
    /// A directory, a device, or a file that is far too large.
    #[error("{} is not a regular file of reasonable size", path.display())]
    NotAFile {
        /// What it is called.
        path: PathBuf,
    },
    /// Somebody else's directory.
    #[error(
        "{} belongs to uid {owner}, and this process runs as uid {user}; run `mastersign fetch` as \
         root or as the directory's owner",
        path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// A path that must be absolute and without `..`.
    #[error("{} is not an absolute path without `..`", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// Others could have chosen where the path leads.
    #[error(
        "{} may be changed by somebody else than the owner of pki_dir, so nothing is written below \
         it; as root, `chmod go-w` it, or give pki_dir to the user that salt-master runs as",
        path.display()
    )]
    Writable {
        /// The first such component.
        path: PathBuf,
    },
}

fn failed(verb: &'static str, path: &Path, errno: Errno) -> DirectoryError {
    DirectoryError::Io {
        verb,
        path: path.to_owned(),
        source: errno.into(),
    }
}

fn components(path: &Path) -> Result<VecDeque<OsString>, DirectoryError> {
    let mut names = VecDeque::new();
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push_back(name.to_owned()),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(DirectoryError::Relative {
                    path: path.to_owned(),
                });
            }
        }
    }
    if path.is_absolute() {
        Ok(names)
    } else {
        Err(DirectoryError::Relative {
            path: path.to_owned(),
        })
    }
}

fn trust(fd: impl AsFd, path: &Path, sticky_is_enough: bool) -> Result<(), DirectoryError> {
    let stat = fstat(fd).map_err(|errno| failed("inspect", path, errno))?;
    let sticky = stat.st_mode & STICKY != 0 && sticky_is_enough;
    if stat.st_uid == 0 && (stat.st_mode & NOT_OWNER_WRITE == 0 || sticky) {
        Ok(())
    } else {
        Err(DirectoryError::Writable {
            path: path.to_owned(),
        })
    }
}

fn is_writable(fd: impl AsFd, path: &Path) -> Result<bool, DirectoryError> {
    let stat = fstat(fd).map_err(|errno| failed("inspect", path, errno))?;
    Ok(stat.st_mode & NOT_OWNER_WRITE != 0)
}

const fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
const OTHERS_WRITE: u32 = 0o002;
const NOT_OWNER_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// As many as Linux follows in one path.
const MOST_LINKS: u8 = 40;
/// An RSA key of 16,384 bits in PEM has 13 KiB.
const LARGEST_FILE: i64 = 64 * 1024;
/// A name is random, so that a second attempt already means that somebody is guessing along.
const ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests;
