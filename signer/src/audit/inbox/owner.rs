//! Being another user for the file system, for a while and on this thread.
//!
//! With root's own rights and a `chown` afterwards, whoever owns the directory chooses what is given
//! to him. With his rights alone root can do there what he could have done himself, and what is
//! created is his from the start.

use std::io;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

/// Ends with its drop.
#[derive(Debug)]
pub(super) struct AsOwner {
    before: Option<(Uid, Gid)>,
}

impl AsOwner {
    /// Becomes this user if we are root and he is not; the thread's other rights stay.
    pub(super) fn enter(user: u32, group: u32) -> io::Result<Self> {
        if !geteuid().is_root() || user == 0 {
            return Ok(Self { before: None });
        }
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        // The group first: afterwards nobody is root enough to change it. setfsuid(2): both calls
        // tell what was so and never whether they failed, so a second one asks.
        let (gid, uid) = (setfsgid(group), setfsuid(user));
        let entered = Self {
            before: Some((uid, gid)),
        };
        if setfsgid(group) == group && setfsuid(user) == user {
            return Ok(entered);
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("cannot become its owner, uid {user}; root without CAP_SETUID cannot"),
        ))
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((user, group)) = self.before {
            setfsuid(user);
            setfsgid(group);
        }
    }
}
