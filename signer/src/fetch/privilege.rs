//! From root to the owner of `pki_dir`, for good.
//!
//! The alternative, to write as root and `chown` afterwards, is how a link planted by a service's
//! user becomes a file of root's somewhere else. As the owner we can do in that directory what its
//! owner could have done anyway, and nothing more. Only if the directory is root's do we stay root,
//! and then nobody else may have a say in where it is.

use std::path::{Path, PathBuf};

use minion::salt_config::Source;
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::{
    Gid, Uid, User, geteuid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid,
};

use super::directory::{DirectoryError, PkiDir};

/// Becomes the owner of `pki_dir` if this process is root's, and opens it.
///
/// Must be called before any thread is started, and after everything that only root may read was
/// read.
///
/// # Errors
///
/// Fails if the directory is nobody's whom we are or can become, or if the way back to root is not
/// shut.
pub fn enter(pki_dir: &Path, configuration: &[Source]) -> Result<PkiDir, PrivilegeError> {
    let us = geteuid();
    if !us.is_root() {
        return PkiDir::open_own(pki_dir, us.as_raw()).map_err(PrivilegeError::Directory);
    }
    let found = stat(pki_dir).map_err(|errno| PrivilegeError::Inspect {
        path: pki_dir.to_owned(),
        source: errno.into(),
    })?;
    if found.st_uid == 0 {
        if let Some(source) = configuration.iter().find(|source| !is_roots_alone(source)) {
            return Err(PrivilegeError::Configuration {
                path: source.path.clone(),
            });
        }
        return PkiDir::open_as_root(pki_dir).map_err(PrivilegeError::Directory);
    }
    let owner = Uid::from_raw(found.st_uid);
    let group = match User::from_uid(owner) {
        Ok(Some(user)) => user.gid,
        Ok(None) | Err(_) => Gid::from_raw(found.st_gid),
    };
    become_for_good(owner, group)?;
    PkiDir::open_own(pki_dir, owner.as_raw()).map_err(PrivilegeError::Directory)
}

/// Opens a second directory of the same owner, without changing who we are.
///
/// # Errors
///
/// As [`enter`], if it is not ours, or as root not root's alone.
pub fn beside(path: &Path) -> Result<PkiDir, PrivilegeError> {
    let us = geteuid();
    let opened = if us.is_root() {
        PkiDir::open_as_root(path)
    } else {
        PkiDir::open_own(path, us.as_raw())
    };
    opened.map_err(PrivilegeError::Directory)
}

fn become_for_good(user: Uid, group: Gid) -> Result<(), PrivilegeError> {
    let switch = |step: &'static str| {
        move |errno: Errno| PrivilegeError::Switch {
            step,
            user: user.as_raw(),
            source: errno.into(),
        }
    };
    setgroups(&[group]).map_err(switch("drop the groups"))?;
    setresgid(group, group, group).map_err(switch("change the group"))?;
    setresuid(user, user, user).map_err(switch("change the user"))?;
    let users = getresuid().map_err(switch("check the user"))?;
    let groups = getresgid().map_err(switch("check the group"))?;
    let rest = getgroups().map_err(switch("check the groups"))?;
    let changed = [users.real, users.effective, users.saved] == [user; 3]
        && [groups.real, groups.effective, groups.saved] == [group; 3]
        && rest == [group];
    let root = Uid::from_raw(0);
    let way_back = setresuid(root, root, root).is_ok() || setgroups(&[Gid::from_raw(0)]).is_ok();
    if changed && !way_back {
        Ok(())
    } else {
        Err(PrivilegeError::NotForGood {
            user: user.as_raw(),
        })
    }
}

/// Whether nobody but root could have written the file.
const fn is_roots_alone(source: &Source) -> bool {
    source.owner == 0 && source.mode & 0o022 == 0
}

/// Why `pki_dir` was not entered.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Somebody else could tell root where to write.
    #[error(
        "pki_dir belongs to root, and {} may be changed by somebody else, who could so choose \
         where root writes; `chown root` and `chmod go-w` the file, or give pki_dir to the user \
         that salt-master runs as",
        path.display()
    )]
    Configuration {
        /// The file.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error("failed to enter the directory of the master's keys")]
    Directory(#[source] DirectoryError),
    /// There is no such directory.
    #[error(
        "failed to inspect pki_dir {}; start salt-master once so that it makes its keys, or check \
         --salt-config",
        path.display()
    )]
    Inspect {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The process could become root again.
    #[error("this process became uid {user} but could become root again, so it stops here")]
    NotForGood {
        /// The user.
        user: u32,
    },
    /// The system did not let go of a privilege.
    #[error("failed to {step} on the way from root to uid {user}")]
    Switch {
        /// Which step.
        step: &'static str,
        /// To whom.
        user: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_write_is_not_roots_alone() {
        for (owner, mode, expected) in [
            (0, 0o644, true),
            (0, 0o600, true),
            (0, 0o664, false),
            (0, 0o646, false),
            (450, 0o600, false),
        ] {
            let source = Source {
                path: PathBuf::from("/etc/salt/master"),
                owner,
                mode,
            };
            assert_eq!(is_roots_alone(&source), expected, "{owner} {mode:o}");
        }
    }
}
