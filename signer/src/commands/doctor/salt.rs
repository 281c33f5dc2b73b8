//! Salt's own configuration of a master, and what its version is known to do wrong.

use std::path::Path;
use std::process::{Command, Stdio};

use super::finding::Finding;
use crate::fetch::salt_config::SaltMaster;

/// What the configuration says about signing.
pub(super) fn configuration(salt: &SaltMaster) -> Finding {
    let what = "Salt's configuration";
    let name = salt.signature_name.as_deref();
    let files = salt.sources.len();
    match (salt.signs, salt.uses_file, name) {
        (true, true, Some(name)) => {
            Finding::good(what, format!("serves {name} ({files} files read)"))
        }
        (true, true, None) => Finding::warning(
            what,
            "master_pubkey_signature is not set, and its default changed: 3006 and 3007 read \
             master_pubkey_signature, 3008 reads <id>_pubkey_signature, so an upgrade ends with a \
             master that does not start",
            "master_pubkey_signature: master_pubkey_signature in master.d; `mastersign watch \
             --drop-in` writes it",
        ),
        (true, false, _) => Finding::failure(
            what,
            "master_sign_pubkey is on and master_use_pubkey_signature is off: salt-master signs \
             each sign-in by itself, with a private signing key on this machine, and makes one of \
             its own if there is none. Masters of some versions can then be stopped from outside",
            "mastersign fetch, then master_use_pubkey_signature: True, then restart salt-master; \
             see docs/migration.md",
        ),
        (false, true, _) => Finding::warning(
            what,
            "master_use_pubkey_signature is on and master_sign_pubkey is off: nothing is served",
            "master_sign_pubkey: True, when the minions are ready (docs/rollout.md)",
        ),
        (false, false, _) => Finding::warning(
            what,
            "salt-master serves no signature",
            "when the minions are ready (docs/rollout.md): mastersign watch --drop-in",
        ),
    }
}

/// The installed version, and what to know about it.
pub(super) fn version() -> Finding {
    let what = "salt-master";
    let found = PLACES.iter().find_map(|place| ask(Path::new(place)));
    let Some(version) = found else {
        return Finding::not_judged(
            what,
            "its version is not known: it is not in the usual places",
        );
    };
    known(&version)
}

fn ask(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8_lossy(&output.stdout);
    // `salt-master 3008.5 (Argon)`
    let version = line.split_whitespace().nth(1)?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

/// What a release line does that surprises people who compare fingerprints and look for files.
fn known(version: &str) -> Finding {
    let what = "salt-master";
    let line = version
        .split('.')
        .next()
        .and_then(|line| line.parse::<u32>().ok())
        .unwrap_or(0);
    match line {
        3008.. => Finding::warning(
            what,
            format!(
                "{version}; salt-key -f and -F of this version hash the whole file: they show the \
                 `file` fingerprint, and not the `salt` one that master_finger, key.finger and \
                 earlier versions use. master.pem and master.pub are links to <id>.pem and <id>.pub"
            ),
            "compare with `mastersign masters find FINGERPRINT`, which knows every form, and take \
             master_finger from `salt-call key.finger_master`",
        ),
        3006 | 3007 => Finding::good(
            what,
            format!(
                "{version}; salt-key -F shows the `salt` fingerprint, as master_finger uses it"
            ),
        ),
        _ => Finding::warning(
            what,
            format!("{version}; not a version that this program is tested with"),
            "Salt 3006, 3007 or 3008",
        ),
    }
}

const PLACES: [&str; 3] = [
    "salt-master",
    "/usr/bin/salt-master",
    "/opt/saltstack/salt/salt-master",
];

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn the_version_says_which_fingerprint_its_tool_shows() {
        for (version, level, said) in [
            ("3008.5", Level::Warning, "whole file"),
            ("3009.0", Level::Warning, "whole file"),
            ("3006.30", Level::Good, "as master_finger uses it"),
            ("3007.17", Level::Good, "as master_finger uses it"),
            ("2019.2.0", Level::Warning, "not a version"),
        ] {
            let found = known(version);
            assert_eq!(found.level(), level, "{version}");
            assert!(found.text().contains(said), "{}", found.text());
            assert!(found.text().contains(version), "{}", found.text());
        }
    }
}
