//! From root to `user`, for good, as salt-minion does (Salt 3008.5, `salt/utils/verify.py`,
//! `check_user`), but with a way back that is shut.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    AccessFlags, Gid, Uid, User, access, chown, geteuid, getgroups, getresgid, getresuid,
    setgroups, setresgid, setresuid,
};

use super::handover;
use crate::config::Config;
use crate::pki;

/// Makes what the minion writes to, and as root hands it to whom it will become; must be called
/// before a thread is started.
pub(super) fn prepare(config: &Config) -> anyhow::Result<()> {
    // Salt 3008.5, salt/utils/verify.py, verify_env: whoever it becomes must get there.
    let before = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let prepared = make(config);
    umask(before);
    prepared
}

fn make(config: &Config) -> anyhow::Result<()> {
    let user = config.user.as_deref().filter(|_| geteuid().is_root());
    let user = user.map(find).transpose()?;
    let new = |path: &Path| -> anyhow::Result<()> {
        if let Some(user) = &user {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("failed to hand over {}", path.display()))?;
        }
        Ok(())
    };
    let own = |path: &Path| -> anyhow::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
        new(path)
    };
    if !config.pki_dir.is_dir() {
        pki::Store::create(&config.pki_dir, &config.master_sign_key_name)?;
        new(&config.pki_dir)?;
    }
    own(&config.cachedir)?;
    config.state_file.parent().map_or(Ok(()), own)?;
    let log = config.log.file.as_ref().map(|(path, _)| path);
    let log = log.and_then(|path| Some((path, path.parent()?)));
    if let Some((_, directory)) = log {
        // Without a log it runs all the same, and says so.
        let _ = own(directory);
    }
    if let Some(user) = &user {
        let failed = |path: &Path| format!("failed to hand over {}", path.display());
        let cache = &config.cachedir;
        handover::directory(cache, user, false).with_context(|| failed(cache))?;
        if let Some((path, directory)) = log {
            handover::file(path, user).with_context(|| failed(path))?;
            handover::directory(directory, user, true).with_context(|| failed(directory))?;
        }
    }
    Ok(())
}

/// Becomes `user` if this process is root's; must be called before a thread is started.
pub(super) fn enter(config: &Config) -> anyhow::Result<()> {
    let user = config.user.as_deref().filter(|_| geteuid().is_root());
    if let Some(user) = user
        .map(find)
        .transpose()?
        .filter(|user| !user.uid.is_root())
    {
        become_for_good(user.uid, user.gid)
            .with_context(|| format!("failed to become the user {}", user.name))?;
    }
    let (path, wanted) = (&config.pki_dir, AccessFlags::W_OK | AccessFlags::X_OK);
    access(path, wanted).with_context(|| {
        let (us, path) = (geteuid(), path.display());
        format!(
            "uid {us} can't write to pki_dir {path}; give it the directory (`chown -R`), or set \
             user to its owner"
        )
    })
}

fn find(name: &str) -> anyhow::Result<User> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => {
            bail!("there is no user {name:?}; the option user of the configuration names it")
        }
        Err(errno) => Err(errno).with_context(|| format!("failed to look the user {name:?} up")),
    }
}

fn become_for_good(user: Uid, group: Gid) -> anyhow::Result<()> {
    setgroups(&[group]).context("failed to drop the groups")?;
    setresgid(group, group, group).context("failed to change the group")?;
    setresuid(user, user, user).context("failed to change the user")?;
    let users = getresuid().context("failed to check the user")?;
    let groups = getresgid().context("failed to check the group")?;
    let rest = getgroups().context("failed to check the groups")?;
    let changed = [users.real, users.effective, users.saved] == [user; 3]
        && [groups.real, groups.effective, groups.saved] == [group; 3]
        && rest == [group];
    let root = Uid::from_raw(0);
    let way_back = setresuid(root, root, root).is_ok() || setgroups(&[Gid::from_raw(0)]).is_ok();
    ensure!(
        changed && !way_back,
        "this process became uid {user} but could become root again, so it stops here"
    );
    Ok(())
}
