//! From root to `user`, for good, as salt-minion does (Salt 3008.5, `salt/utils/verify.py`,
//! `check_user`), but with a way back that is shut.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use nix::unistd::{
    AccessFlags, Gid, Uid, User, access, chown, geteuid, getgroups, getresgid, getresuid,
    setgroups, setresgid, setresuid,
};

use crate::config::Config;

/// Makes the directories that the minion writes to, as root for whom it will become.
pub(super) fn prepare(config: &Config) -> anyhow::Result<()> {
    let user = config.user.as_deref().filter(|_| geteuid().is_root());
    let user = user.map(find).transpose()?;
    let own = |path: &Path| -> anyhow::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
        if let Some(user) = &user {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("failed to hand over {}", path.display()))?;
        }
        Ok(())
    };
    own(&config.pki_dir)?;
    own(&config.cachedir)?;
    config.state_file.parent().map_or(Ok(()), own)
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
