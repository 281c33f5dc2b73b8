//! Whether a watch would write again what `--undo` takes away.
//!
//! A watch with `--drop-in` follows `master.d`, so it would see within two seconds that its file is
//! gone and write it again, and the operator who restarts salt-master then has a master that signs.
//! It holds a shared lock on the directory with Salt's `master` file, which needs no file of its own
//! and ends with the process; `--undo` needs the directory for itself.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The lock, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "it is held, not read")] Flock<File>);

/// For a watch that writes the drop-in; an `--undo` that is at work is waited for.
pub(super) fn hold(salt_config: &Path) -> anyhow::Result<Held> {
    let directory = open(salt_config)?;
    match Flock::lock(directory, FlockArg::LockShared) {
        Ok(lock) => Ok(Held(lock)),
        Err((_, error)) => Err(error).context(format!("failed to lock {}", salt_config.display())),
    }
}

/// For `--undo`, which nobody may undo.
pub(super) fn alone(salt_config: &Path) -> anyhow::Result<Held> {
    let directory = open(salt_config)?;
    match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Held(lock)),
        Err((_, Errno::EWOULDBLOCK)) => bail!(
            "`mastersign watch --drop-in` runs on this master and would write \
             master.d/50-mastersign.conf again at once: stop it first, `systemctl disable --now \
             mastersign-watch.service`, or what else started it; then repeat this. Nothing was \
             changed"
        ),
        Err((_, error)) => Err(error).context(format!("failed to lock {}", salt_config.display())),
    }
}

fn open(salt_config: &Path) -> anyhow::Result<File> {
    File::open(salt_config).with_context(|| format!("failed to open {}", salt_config.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_share_what_an_undo_needs_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (hold(directory.path()), hold(directory.path()));
        let refused = alone(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("mastersign-watch.service"), "{refused}");
        drop(one);
        assert!(alone(directory.path()).is_err());
        drop(two);
        drop(alone(directory.path()).unwrap());
        drop(hold(directory.path()).unwrap());
    }
}
