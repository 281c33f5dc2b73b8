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
        return Finding::good(
            what,
            "its version is not known: it is not in the usual places",
        );
    };
    Finding::good(what, format!("{version}; {}", known(&version)))
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
fn known(version: &str) -> &'static str {
    let line = version
        .split('.')
        .next()
        .and_then(|line| line.parse::<u32>().ok())
        .unwrap_or(0);
    match line {
        3008.. => {
            "salt-key -f and -F of this version hash the whole file: they show the `file` \
             fingerprint, and not the `salt` one that master_finger, key.finger and earlier \
             versions use. master.pem and master.pub are links to <id>.pem and <id>.pub"
        }
        3006 | 3007 => "salt-key -F shows the `salt` fingerprint, as master_finger uses it",
        _ => "not a version that this program is tested with (3006, 3007, 3008)",
    }
}

const PLACES: [&str; 3] = [
    "salt-master",
    "/usr/bin/salt-master",
    "/opt/saltstack/salt/salt-master",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_which_fingerprint_its_tool_shows() {
        assert!(known("3008.5").contains("whole file"));
        assert!(known("3009.0").contains("whole file"));
        assert!(known("3006.30").contains("as master_finger uses it"));
        assert!(known("2019.2.0").contains("not a version"));
    }
}
