//! Configuration files: a stock minion's, a salt-master's, and the service's own.

use std::path::{Path, PathBuf};

use minion::config::{Overrides, load};
use minion::failover::MasterType;
use minion::salt_config::{Loaded, Table, parse};
use signer::config::{Config, Layer};
use signer::fetch::salt_config::SaltMaster;

use crate::papers::Desk;

/// Any file is a configuration or an error that names a file, and what is taken can be lived by.
///
/// It goes through the file system, as the rules of inclusion do. `minion_id` stands beside it,
/// because a minion without an id asks the name servers for one.
pub fn run(input: &[u8]) {
    let folder = Desk::new();
    let file = folder.put("minion", input);
    folder.put("minion_id", b"fuzzed");
    match load(&file, &Overrides::default()) {
        Ok(config) => {
            let policies = config.failover.policies();
            if config.failover.master_type != MasterType::Disable {
                let policies = policies.expect("what is configured can be lived by");
                assert!(!policies.is_empty() && !config.masters.is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Files with every kind of option.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let files = [
        "master: salt\n",
        "master:\n  - m1:4506\n  - '[::1]:4506'\n  - 192.0.2.1\nmaster_type: failover\nmaster_alive_interval: 5\n\
         master_failback: True\nmaster_tries: -1\nretry_dns: 0\nrandom_master: yes\nauth_safemode: False\n",
        "id: web1.example\nuser: root\npki_dir: /etc/salt/pki/minion\nverify_master_pubkey_sign: True\n\
         master_finger: 'aa:bb'\nsigning_algorithm: PKCS1v15-SHA224\nencryption_algorithm: OAEP-SHA224\nkeysize: 4096\n",
        "grains:\n  roles: [web, 5, null, 1.5]\n  nested: {a: {b: c}, 5: five}\nautosign_grains: [uuid]\n",
        "log_level: debug\nlog_fmt_console: '[%(levelname)-8s] %(message)s'\nlog_datefmt: '%H:%M:%S'\n\
         log_level_logfile: garbage\nlog_file: /var/log/salt/minion\n",
        "tcp_keepalive: True\ntcp_keepalive_idle: 300\nrecon_default: 100\nrecon_max: 5000\nsource_address: 192.0.2.2\n\
         source_ret_port: 49017\nipv6: False\nzmq_filtering: True\nping_interval: 60\nacceptance_wait_time_max: 60\n",
        "open_mode: True\n",
        "include: other.conf\ndefault_include: minion.d/*.conf\nroot_dir: /tmp\ntransport: tcp\n",
        "master_type: disable\n",
    ];
    files.iter().map(|file| file.as_bytes().to_vec()).collect()
}

/// A main file and its drop-ins, parted by NUL: each is a table or an error, they merge, and what a
/// salt-master would make of it is a place for its signature or an error.
pub fn salt_config(input: &[u8]) {
    let mut options = Table::default();
    let mut dropped_in = Table::default();
    for (number, text) in texts(input).enumerate() {
        let path = format!("/etc/salt/{number}");
        match parse(Path::new(&path), text) {
            Ok(table) if number == 0 => options = table,
            Ok(table) => dropped_in.merge(table),
            Err(error) => assert!(error.to_string().contains(&path), "{error}"),
        }
    }
    let mut twice = dropped_in.clone();
    twice.merge(dropped_in.clone());
    assert_eq!(twice, dropped_in, "nothing is new in the same once more");
    let known: Vec<String> = dropped_in.iter().map(|(name, _)| name.to_owned()).collect();
    options.replace(dropped_in);
    for name in known {
        assert_eq!(options.get(&name), twice.get(&name), "{name}");
    }
    let sources = Vec::new();
    match SaltMaster::read(Loaded { options, sources }) {
        Ok(master) => {
            assert!(master.pki_dir.is_absolute() && master.key_dir.is_absolute());
            assert!(master.missing_lines("signature").len() <= 3);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What `fetch` and `doctor` meet: a master's options, alone and in drop-ins, and a minion's file
/// with every YAML form that people use.
#[must_use]
pub fn salt_config_seeds() -> Vec<Vec<u8>> {
    let files = [
        "root_dir: /srv\npki_dir: pki/../master\nid: 007\nappend_domain: example.org\nuser: salt\n\0\
         master_sign_pubkey: True\nmaster_use_pubkey_signature: yes\nmaster_pubkey_signature: sig\n\0\
         nodegroups: {1: 'L@a,b', two: [x, x]}\nlist: [a]\n\0list: [b, a, b]\nnodegroups: {two: [y]}\n",
        "cluster_id: east\ncluster_pki_dir: /shared\ncluster_key_pass: c\nkey_pass: sdb://x/y\n",
        "%YAML 1.1\n---\nbase: &b {x: 1, 'y': 0x1F}\nover: {<<: *b, x: 1:30}\nt: !!str 12\nfold: >-\n  a\n  b\n",
        include_str!("../../../softhsm-tests/tests/it/minion_config/everything.yaml"),
        include_str!("../../../deploy/minion.example"),
    ];
    files.iter().map(|file| file.as_bytes().to_vec()).collect()
}

/// A main file and its fragments, parted by NUL, are a configuration whose every path is absolute,
/// or an error that names one of the files.
pub fn service_config(input: &[u8]) {
    let layers = texts(input).enumerate().map(|(number, text)| Layer {
        path: PathBuf::from(format!("/etc/mastersign/{number}.toml")),
        text: text.to_owned(),
    });
    match Config::parse(PathBuf::from("/etc/mastersign/0.toml"), layers) {
        Ok(config) => {
            let tls = &config.tls;
            let files = [
                Some(&config.state_dir),
                Some(&config.store.path),
                Some(&tls.certificate),
                Some(&tls.key),
                Some(&tls.masters_ca),
                Some(&tls.operators_ca),
                tls.masters_crl.as_ref(),
                tls.operators_crl.as_ref(),
            ];
            assert!(files.into_iter().flatten().all(|file| file.is_absolute()));
            for (number, hsm) in config.hsms.iter().enumerate() {
                let others = config.hsms.iter().skip(number.saturating_add(1));
                assert!(
                    others
                        .map(|other| &other.name)
                        .all(|name| *name != hsm.name)
                );
            }
        }
        Err(error) => assert!(
            error.to_string().contains("/etc/mastersign/"),
            "no file in: {error}"
        ),
    }
}

/// The file that is shipped, the same with every default written out, and fragments over it.
#[must_use]
pub fn service_config_seeds() -> Vec<Vec<u8>> {
    let shipped = include_str!("../../../deploy/mastersign.example.toml");
    let fragment = "[limits]\nrequest_timeout = \"250ms\"\n[signing]\nmasters = { m1 = \"PKCS1v15-SHA224\" }\n";
    let second = "[[hsm]]\nname = \"spare\"\nprofile = \"softhsm2\"\nmodule = \"/usr/lib/p.so\"\nserial = \"4f\"\n\
                  key_label = \"master_sign\"\npin = { command = [\"/bin/pin\"], deadline = \"5s\" }\n";
    let all = [
        shipped.to_owned(),
        shipped.replace("\n# ", "\n"),
        format!("{shipped}\0{fragment}\0{second}"),
    ];
    all.map(String::into_bytes).into()
}

fn texts(input: &[u8]) -> impl Iterator<Item = &str> {
    let parts = input.split(|byte| *byte == 0);
    parts.filter_map(|part| std::str::from_utf8(part).ok())
}
