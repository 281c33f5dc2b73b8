//! What is refused, and that the error says where, what and why.

use super::*;

/// Each text with words that its error must have.
const REFUSED: &[(&str, &[&str])] = &[
    // What would weaken the minion.
    ("open_mode: True", &["open_mode", "any master"]),
    (
        "verify_master_pubkey_sign: False",
        &["verify_master_pubkey_sign", "nobody signed"],
    ),
    (
        "verify_master_pubkey_sign: 0",
        &["verify_master_pubkey_sign"],
    ),
    ("transport: tcp", &["transport", "zeromq"]),
    (
        "minimum_auth_version: 2",
        &["minimum_auth_version", "CVE-2025-62349"],
    ),
    (
        "keys.cache_driver: redis",
        &["keys.cache_driver", "localfs_key"],
    ),
    (
        "keysize: 1024",
        &["keysize", "2048, 3072 or 4096", "the number 1024"],
    ),
    // What another program would have to answer.
    ("id_function: grains.get", &["id_function", "`id`"]),
    ("master_type: func", &["master_type", "`master`"]),
    (
        "master_type: distributed",
        &["master_type", "random_master"],
    ),
    ("master: sdb://vault/master", &["master", "sdb://"]),
    (
        "source_interface_name: eth0",
        &["source_interface_name", "source_address"],
    ),
    // Wrong types and values.
    (
        "master_type: hot",
        &["master_type", "str, failover or disable", "\"hot\""],
    ),
    (
        "master_failback: 1",
        &["master_failback", "True or False", "the number 1"],
    ),
    (
        "master_failback: 'True'",
        &["master_failback", "the text \"True\""],
    ),
    (
        "auth_timeout: five",
        &["auth_timeout", "seconds", "\"five\""],
    ),
    ("auth_timeout: -1", &["auth_timeout", "the number -1"]),
    ("auth_timeout: True", &["auth_timeout", "True"]),
    ("auth_timeout: 0", &["auth_timeout is zero"]),
    ("auth_tries: 1.5", &["auth_tries", "a whole number"]),
    ("master_port: 70000", &["master_port", "a port"]),
    ("master_port: [4506]", &["master_port", "a list of 1"]),
    ("master: 7", &["master", "a host, or a list of hosts"]),
    ("master: [a, 7]", &["master", "a list of 2"]),
    ("master: []", &["master is empty"]),
    ("master: 'a,b'", &["master", "[a, b]"]),
    ("master: 'a b'", &["master", "neither"]),
    ("master_uri_format: ip_only\nmaster: a", &["ip_only"]),
    (
        "master_uri_format: other",
        &["master_uri_format", "ip_only"],
    ),
    (
        "signing_algorithm: PKCS1v15-SHA256",
        &["signing_algorithm", "PKCS1v15-SHA224"],
    ),
    (
        "encryption_algorithm: OAEP-SHA256",
        &["encryption_algorithm", "OAEP-SHA224"],
    ),
    (
        "publish_signing_algorithm: x",
        &["publish_signing_algorithm"],
    ),
    ("source_address: eth0", &["source_address", "an IP address"]),
    ("master_finger: 'aa:bb'", &["master_finger", "32 pairs"]),
    (
        "master_sign_key_name: ../key",
        &["master_sign_key_name", "pki_dir"],
    ),
    ("root_dir: here", &["root_dir", "absolute"]),
    ("log_level: loud", &["log_level", "garbage"]),
    ("log_level: 3", &["log_level", "the number 3"]),
    (
        "log_fmt_console: '%(nothing)s'",
        &["log_fmt_console", "%(nothing)s"],
    ),
    (
        "log_fmt_logfile: '100% sure'",
        &["log_fmt_logfile", "each %"],
    ),
    ("log_datefmt: '%!'", &["log_datefmt", "strftime"]),
    (
        "log_granular_levels: {salt: loud}",
        &["log_granular_levels"],
    ),
    (
        "log_granular_levels: [salt]",
        &["log_granular_levels", "a list of 1"],
    ),
    ("grains: [a]", &["grains", "a mapping"]),
    (
        "autosign_grains: uuid",
        &["autosign_grains", "a list of texts"],
    ),
    ("tcp_keepalive_cnt: 1.5", &["tcp_keepalive_cnt"]),
    ("minion_id_remove_domain: 3", &["minion_id_remove_domain"]),
    ("include: 3", &["include"]),
    // Ours.
    (
        "mastersign_pendin: stay",
        &["mastersign_pendin", "mastersign_pending"],
    ),
    (
        "mastersign_pending: wait",
        &["mastersign_pending", "stay or move_on"],
    ),
    (
        "mastersign_state_file: here",
        &["mastersign_state_file", "absolute"],
    ),
];

#[test]
fn each_is_refused_with_the_file_the_option_and_the_reason() {
    for (text, words) in REFUSED {
        let salt = Salt::main(&format!("{text}\n"));
        let error = salt.error();
        for word in *words {
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}

#[test]
fn the_error_names_the_file_that_had_the_last_word() {
    let salt = Salt::with(&[
        ("minion", "id: m1\nauth_timeout: 5\n"),
        ("minion.d/a.conf", "auth_timeout: x\n"),
        ("minion.d/b.conf", "user: salt\n"),
    ]);
    let error = salt.error();
    assert!(error.contains("minion.d/a.conf: `auth_timeout`"), "{error}");
}

#[test]
fn stock_values_of_the_same_options_are_accepted() {
    for text in [
        "open_mode: False",
        "verify_master_pubkey_sign: True",
        "transport: zeromq",
        "minimum_auth_version: 3",
        "keys.cache_driver: localfs_key",
        "id_function: {}",
        "source_interface_name: ''",
        "permissive_pki_access: False",
        "hash_type: sha512",
    ] {
        let config = Salt::main(&format!("{text}\n")).config();
        assert!(
            config.warnings.is_empty() && config.unknown.is_empty(),
            "{text}"
        );
    }
}

#[test]
fn a_finger_is_refused_under_another_hash() {
    let finger = "ab:".repeat(31) + "cd";
    let salt = Salt::main(&format!("hash_type: md5\nmaster_finger: '{finger}'\n"));
    assert!(salt.error().contains("sha256"), "{}", salt.error());
}

#[test]
fn an_id_that_no_master_takes_names_where_it_comes_from() {
    let salt = Salt::with(&[("minion", "id: ../m1\n")]);
    assert!(salt.error().contains("the option `id`"), "{}", salt.error());
}

#[test]
fn a_long_value_is_not_shown() {
    let key = "x".repeat(100);
    let error = Salt::main(&format!("master_type: {key}\n")).error();
    assert!(
        !error.contains("xxx") && error.contains("100 bytes"),
        "{error}"
    );
}
