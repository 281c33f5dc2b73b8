//! This process and who runs it.

use std::path::Path;

use nix::unistd::{Group, User, getgid, getuid};

use super::{Grains, line_of};

pub(super) fn collect(grains: &mut Grains) {
    grains.set("pid", u64::from(std::process::id()));
    grains.set("uid", u64::from(getuid().as_raw()));
    grains.set("gid", u64::from(getgid().as_raw()));
    let user = User::from_uid(getuid()).ok().flatten();
    grains.set_some("username", user.map(|user| user.name).as_deref());
    let group = Group::from_gid(getgid()).ok().flatten();
    grains.set_some("groupname", group.map(|group| group.name).as_deref());
    grains.set("shell", shell().as_str());
    grains.set("init", init());
    let machine = line_of("/etc/machine-id").or_else(|| line_of("/var/lib/dbus/machine-id"));
    grains.set_some("machine_id", machine.as_deref());
}

/// Salt 3008.5, `salt/grains/extra.py`, `shell`.
#[expect(
    clippy::disallowed_methods,
    reason = "the grain is about the environment"
)]
fn shell() -> String {
    std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())
}

/// Salt 3008.5, `salt/grains/core.py`, `_linux_init_system`, but for an `init` that only its
/// program text tells apart: that is `unknown` here.
fn init() -> &'static str {
    if Path::new("/run/systemd/system").exists() {
        return "systemd";
    }
    let command = line_of("/proc/1/cmdline").unwrap_or_default();
    let mut words = command.split(['\0', ' ']).filter(|word| !word.is_empty());
    let names = words.by_ref().map(|word| word.rsplit('/').next());
    let known = names.flatten().find_map(|name| match name {
        "dumb-init" => Some("dumb-init"),
        "my_init" | "runit" => Some("runit"),
        "supervisord" => Some("supervisord"),
        "tini" => Some("tini"),
        _ => None,
    });
    known.unwrap_or("unknown")
}
