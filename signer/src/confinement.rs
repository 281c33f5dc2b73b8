//! What the service and its HSM workers may never do, held by the kernel (Landlock and seccomp).
//!
//! They make none of the system calls of `calls`. They write nowhere below the system's own directories and people's homes, and listen on no port
//! but the configured ones. Vendors' modules keep files in places of their own, so the list is of
//! what is closed and not of what is open; systemd's `ProtectSystem=strict` in the unit goes further
//! where it is used. A kernel without one of the two is no reason not to serve, unless the operator
//! says so, and is said.

mod calls;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, path_beneath_rules,
};

use serde::Serialize;

use crate::config::Config;
use crate::telemetry::Chain;

/// How much the kernel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// What may be written, and which ports may be opened.
    pub landlock: Enforced,
    /// Which system calls may be made.
    pub seccomp: Enforced,
}

impl Confinement {
    /// Whether the kernel holds all of it.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.landlock == Enforced::Whole && self.seccomp == Enforced::Whole
    }
}

/// How much of one kind the kernel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforced {
    /// The kernel does not have it, or it is switched off.
    Absent,
    /// An older kernel holds a part of it.
    Partial,
    /// All of it.
    Whole,
}

impl Enforced {
    /// For the metric: 0, 0.5 or 1.
    #[must_use]
    pub const fn share(self) -> f64 {
        match self {
            Self::Absent => 0.0,
            Self::Partial => 0.5,
            Self::Whole => 1.0,
        }
    }
}

/// Confines this thread and everything that it starts from here on, for good. To be called before
/// there are other threads.
///
/// # Errors
///
/// Fails if the kernel refuses the rules; one that has no Landlock or no seccomp is not an error.
pub fn confine(config: &Config) -> Result<Confinement, RulesetError> {
    Ok(Confinement {
        landlock: restrict(config)?,
        seccomp: enforced("the service", calls::refuse()),
    })
}

/// Keeps this process from ever becoming another program, all its threads; for a worker that has
/// everything it needs. The service cannot do without: it starts workers for as long as it lives.
#[must_use]
pub fn forbid_programs() -> Enforced {
    enforced("an HSM worker", calls::refuse_programs())
}

fn enforced(who: &str, applied: Result<(), seccompiler::Error>) -> Enforced {
    match applied {
        Ok(()) => Enforced::Whole,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the kernel refuses no system calls to {who}");
            Enforced::Absent
        }
    }
}

fn restrict(config: &Config) -> Result<Enforced, RulesetError> {
    let writes = AccessFs::from_write(ABI::V4);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)?
        .handle_access(AccessNet::BindTcp)?
        .create()?
        .add_rules(path_beneath_rules(open_places(config), writes))?;
    for address in [config.listen.api, config.listen.ops] {
        rules = rules.add_rule(NetPort::new(address.port(), AccessNet::BindTcp))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Whole,
        RulesetStatus::PartiallyEnforced => Enforced::Partial,
        RulesetStatus::NotEnforced => Enforced::Absent,
    })
}

/// Where may be written: every directory of the root that is not closed, and what the configuration
/// names, wherever that is.
fn open_places(config: &Config) -> BTreeSet<PathBuf> {
    let mut places = BTreeSet::from([config.state_dir.clone()]);
    places.extend(config.store.path.parent().map(Path::to_owned));
    for hsm in &config.hsms {
        // SOFTHSM2_CONF and its like: the tokens lie beside such a file, or below another root.
        let files = hsm.module.environment.values().map(Path::new);
        let named = files.filter(|path| path.is_absolute());
        places.extend(named.filter_map(|path| path.parent()).map(Path::to_owned));
    }
    let root = fs::read_dir("/").into_iter().flatten().flatten();
    places.extend(root.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !CLOSED.contains(&name))
    }));
    places.remove(Path::new("/"));
    places
}

/// Below the root. Links among them, like `/bin` to `/usr/bin`, lead to others.
const CLOSED: [&str; 13] = [
    "bin", "boot", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "root", "sbin", "sys",
    "usr",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Setting;

    #[test]
    fn what_the_configuration_names_is_open_and_the_system_is_closed() {
        let setting = Setting::new();
        setting.write(
            "mastersign.toml",
            "state_dir = \"/home/x/state\"\n[tls]\ncertificate = \"a\"\nkey = \"b\"\n\
             masters_ca = \"c\"\noperators_ca = \"d\"\n[store]\npath = \"/root/db/m.db\"\n\
             [[hsm]]\nname = \"a\"\nmodule = \"/usr/lib/m.so\"\ntoken_label = \"t\"\nkey_id = \"01\"\n\
             [hsm.environment]\nSOFTHSM2_CONF = \"/home/x/softhsm/conf\"\nLEVEL = \"3\"\n",
        );
        let config = Config::load(&setting.path().join("mastersign.toml")).unwrap();
        let places = open_places(&config);
        for open in [
            "/home/x/state",
            "/root/db",
            "/home/x/softhsm",
            "/var",
            "/tmp",
            "/dev",
        ] {
            assert!(places.contains(Path::new(open)), "{open}: {places:?}");
        }
        for closed in ["/", "/etc", "/usr", "/root", "/home", "/bin", "/proc"] {
            assert!(!places.contains(Path::new(closed)), "{closed}: {places:?}");
        }
    }
}
