//! A salt-master's configuration means to `fetch` what it means to Salt: real Salt of each version
//! loads the same files, and every option that decides where the signature belongs must have the
//! same value; what Salt refuses is refused.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use signer::fetch::salt_config::SaltMaster;
use softhsm_tests::salt::Version;
use tempfile::TempDir;

use super::minion_config::{Files, IDS, salts, write};

const CONFIGURATIONS: &[(&str, Files)] = &[
    ("nothing", &[("master", "# nothing\n")]),
    (
        "everything",
        &[(
            "master",
            "id: m1\nappend_domain: example.org\nroot_dir: ROOT\npki_dir: pki/./x/../master\nuser: salt\n\
             key_pass: 'open sesame'\nmaster_sign_pubkey: yes\nmaster_use_pubkey_signature: ON\n\
             master_pubkey_signature: sig\nmaster_sign_key_name: east\n",
        )],
    ),
    (
        "drop-ins",
        &[
            (
                "master",
                "id: main\nuser: main\nmaster_sign_key_name: main\ninclude: [extra/*.conf, none/*.conf]\n",
            ),
            (
                "master.d/20-b.conf",
                "master_sign_pubkey: True\nid: b\nmaster_pubkey_signature: b\n",
            ),
            (
                "master.d/10-a.conf",
                "id: a\nuser: a\ninclude: ../deeper/c.conf\n",
            ),
            ("master.d/.hidden.conf", "id: hidden\n"),
            ("extra/e.conf", "master_sign_key_name: extra\n"),
            ("deeper/c.conf", "user: c\npki_dir: /from/c\n"),
        ],
    ),
    (
        "moved drop-ins",
        &[
            ("master", "default_include: conf/[!x]?.conf\nid: main\n"),
            ("master.d/a.conf", "id: stock\n"),
            ("conf/a1.conf", "id: moved\n"),
            ("conf/x1.conf", "id: excluded\n"),
        ],
    ),
    (
        "no main file",
        &[("master.d/a.conf", "id: m1\nmaster_sign_pubkey: True\n")],
    ),
    (
        "cluster",
        &[(
            "master",
            "id: m1\ncluster_id: east\ncluster_pki_dir: ROOT/shared\ncluster_key_pass: c\nkey_pass: m\n\
             cluster_peers: [m2]\n",
        )],
    ),
    (
        "cluster in pki_dir",
        &[(
            "master",
            "id: m1\ncluster_id: east\npki_dir: ROOT/pki\ncluster_peers: [m2]\n",
        )],
    ),
    (
        "yaml",
        &[(
            "master",
            "%YAML 1.1\n---\nid: &id m1\nuser: *id\nmaster_sign_key_name: >-\n  folded\nmaster_pubkey_signature: 2026-11-22\n\
             master_sign_pubkey: off\n",
        )],
    ),
    ("a key twice", &[("master", "id: m1\nuser: a\nuser: b\n")]),
    (
        "a broken drop-in",
        &[("master", "id: m1\n"), ("master.d/a.conf", "user: [a\n")],
    ),
    ("no mapping", &[("master", "just text\n")]),
];

#[test]
fn every_configuration_means_the_same_to_all_three_versions() {
    let directory = TempDir::new().unwrap();
    let mut paths = Vec::new();
    for (name, files) in CONFIGURATIONS {
        let folder = directory.path().join(name);
        write(&folder, files);
        paths.push((*name, folder.join("master")));
    }
    for (number, id) in IDS.iter().enumerate() {
        let folder = directory.path().join(format!("id-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("master"), format!("id: {id}\n")).unwrap();
        paths.push((id, folder.join("master")));
    }
    for version in Version::ALL {
        let theirs = salts(version, include_str!("master_config/load.py"), &paths);
        let defaults = &theirs[paths[0].1.to_str().unwrap()];
        let mut differences = Vec::new();
        for (name, main) in &paths {
            if version == Version::V3006 && name.starts_with("cluster") {
                // 3006 has no clusters, and nothing in the files says which version reads them.
                continue;
            }
            let theirs = &theirs[main.to_str().unwrap()];
            let ours = SaltMaster::load(main.parent().unwrap()).ok();
            let ours = ours.map_or(Value::Null, |ours| shown(&ours, defaults));
            let theirs = expected(theirs);
            if ours != theirs {
                differences.push(format!("{name}: ours {ours}, Salt's {theirs}"));
            }
        }
        assert!(
            differences.is_empty(),
            "{version}:\n{}",
            differences.join("\n")
        );
    }
}

/// Ours under Salt's names; where ours has none, it is Salt's default that counts.
fn shown(ours: &SaltMaster, defaults: &Value) -> Value {
    let own = |value: &Option<String>, option: &str| {
        value
            .as_ref()
            .map_or_else(|| defaults[option].clone(), |it| json!(it))
    };
    json!({
        "id": own(&ours.id, "id"),
        "key": key(&ours.key_dir, ours.key_name),
        "key_pass": ours.key_pass.as_ref().map(ExposeSecret::expose_secret),
        "master_pubkey_signature": own(&ours.signature_name, "master_pubkey_signature"),
        "master_sign_key_name": ours.sign_key_name,
        "master_sign_pubkey": ours.signs,
        "master_use_pubkey_signature": ours.uses_file,
        "pki_dir": ours.pki_dir,
        "user": own(&ours.user, "user"),
    })
}

/// Salt's values where ours are: a cluster's key and pass phrase are the ones that count
/// (`salt/crypt.py`, `MasterKeys`).
fn expected(theirs: &Value) -> Value {
    if theirs.is_null() {
        return Value::Null;
    }
    let (directory, name, pass) = if theirs["cluster_id"].is_null() {
        ("pki_dir", "master", "key_pass")
    } else {
        ("cluster_pki_dir", "cluster", "cluster_key_pass")
    };
    let directory = Path::new(theirs[directory].as_str().unwrap());
    json!({
        "id": theirs["id"],
        "key": key(directory, name),
        "key_pass": theirs[pass].as_str().filter(|pass| !pass.is_empty()),
        "master_pubkey_signature": theirs["master_pubkey_signature"],
        "master_sign_key_name": theirs["master_sign_key_name"],
        "master_sign_pubkey": theirs["master_sign_pubkey"],
        "master_use_pubkey_signature": theirs["master_use_pubkey_signature"],
        "pki_dir": theirs["pki_dir"],
        "user": theirs["user"],
    })
}

fn key(directory: &Path, name: &str) -> Value {
    json!(directory.join(format!("{name}.pem")))
}
