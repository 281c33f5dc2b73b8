//! What a stock configuration may say, and what it then means.

use super::*;
use crate::failover::{MasterType, PendingRule, Settings};
use crate::log::Level;
use crate::wire::private_key::Encryption;

#[test]
fn an_empty_file_means_salts_defaults() {
    let config = Salt::main("").config();
    assert_eq!(config.failover, Settings::default());
    assert_eq!(config.pki_dir, Path::new("/etc/salt/pki/minion"));
    assert_eq!(config.cachedir, Path::new("/var/cache/salt/minion"));
    assert_eq!(
        config.state_file,
        Path::new("/var/cache/salt/minion/mastersign-masters.json")
    );
    assert_eq!(config.algorithms.signing, Algorithm::Sha1);
    assert_eq!(config.algorithms.encryption, Encryption::Sha1);
    assert_eq!(config.publish_signing_algorithm, Algorithm::Sha1);
    assert_eq!(config.network.keepalive, Keepalive::default());
    assert_eq!(config.returns.request_timeout, Duration::from_secs(60));
    assert_eq!(
        (config.returns.retry_tries, config.returns.request_tries),
        (3, 3)
    );
    assert!(config.start_events && config.ping_interval.is_none());
    assert_eq!(config.jobs_remembered, 100);
    assert_eq!(config.hash_type, "sha256");
    assert!(config.unknown.is_empty() && config.warnings.is_empty());
    assert_eq!(config.log.console.level, Level::Warning);
    assert_eq!(
        config.log.file.unwrap().0,
        Path::new("/var/log/salt/minion")
    );
    assert!(config.keep_id.is_none());
}

/// Every option with another value than its default.
const EVERYTHING: &str = "master: [m1, 'm2:4600', '[::1]:4700']\nmaster_port: '4666'\nmaster_type: failover\nmaster_shuffle: True\n\
         master_alive_interval: 30\nmaster_tries: 5\nmaster_failback: True\nmaster_failback_interval: 60\nretry_dns: 0\n\
         retry_dns_count: 3\nacceptance_wait_time: 2.5\nacceptance_wait_time_max: 60\nrandom_reauth_delay: 7\n\
         auth_timeout: 9\nauth_tries: 4\nauth_safemode: True\nrejected_retry: True\nping_interval: 2\n\
         publish_port: 4999\nverify_master_pubkey_sign: True\nalways_verify_signature: False\n\
         master_sign_key_name: fleet\nsigning_algorithm: PKCS1v15-SHA224\nencryption_algorithm: OAEP-SHA224\n\
         publish_signing_algorithm: PKCS1v15-SHA224\nkeysize: 3072\nuser: salt\nipv6: False\n\
         source_address: 192.0.2.7\nsource_ret_port: 4000\nsource_publish_port: '4001'\nzmq_filtering: True\n\
         return_retry_timer: 1\nreturn_retry_timer_max: 2\n\
         return_retry_tries: 9\nrequest_channel_timeout: 30\nrequest_channel_tries: 1\n\
         minion_jid_queue_hwm: 250\n\
         enable_legacy_startup_events: False\nautosign_grains: [uuid]\nmastersign_pending: move_on\n\
         mastersign_loss_spread: 25\nmastersign_stagger: 0.25\nmastersign_state_file: /run/m.json\n";

#[test]
fn every_option_of_the_masters_has_its_effect() {
    let config = Salt::main(EVERYTHING).config();
    let masters: Vec<_> = config
        .masters
        .iter()
        .map(|m| (m.host.as_str(), m.port.get()))
        .collect();
    assert_eq!(masters, [("m1", 4666), ("m2", 4600), ("::1", 4700)]);
    let expected = Settings {
        acceptance_wait_time: Duration::from_millis(2500),
        acceptance_wait_time_max: Some(Duration::from_secs(60)),
        auth_safemode: true,
        auth_timeout: Duration::from_secs(9),
        auth_tries: 4,
        loss_spread: Duration::from_secs(25),
        master_alive_interval: Some(Duration::from_secs(30)),
        master_failback: true,
        master_failback_interval: Some(Duration::from_secs(60)),
        master_tries: std::num::NonZeroU32::new(5),
        master_type: MasterType::Failover,
        masters: ["m1", "m2:4600", "[::1]:4700"].map(str::to_owned).to_vec(),
        pending: PendingRule::MoveOn,
        random_master: true,
        random_reauth_delay: Duration::from_secs(7),
        rejected_retry: true,
        retry_dns: None,
        retry_dns_count: Some(3),
        stagger: Duration::from_millis(250),
    };
    assert_eq!(config.failover, expected);
}

#[test]
fn every_other_option_has_its_effect() {
    let config = Salt::main(EVERYTHING).config();
    assert_eq!(config.publish_port.map(NonZeroU16::get), Some(4999));
    assert_eq!(config.master_sign_key_name, "fleet");
    assert_eq!(config.algorithms.signing, Algorithm::Sha224);
    assert_eq!(config.algorithms.encryption, Encryption::Sha224);
    assert_eq!(config.publish_signing_algorithm, Algorithm::Sha224);
    assert_eq!(
        (config.keysize, config.user.as_deref()),
        (3072, Some("salt"))
    );
    let network = &config.network;
    assert_eq!((network.ipv6, network.zmq_filtering), (Some(false), true));
    assert_eq!(network.source_address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(network.source_ret_port.map(NonZeroU16::get), Some(4000));
    assert_eq!(network.source_publish_port.map(NonZeroU16::get), Some(4001));
    let seconds = Duration::from_secs;
    assert_eq!(
        config.returns,
        Returns {
            retry_timer: seconds(1),
            retry_timer_max: seconds(2),
            retry_tries: 9,
            request_timeout: seconds(30),
            request_tries: 1,
        }
    );
    assert!(!config.start_events);
    assert_eq!(config.jobs_remembered, 250);
    assert_eq!(config.ping_interval, Some(Duration::from_secs(120)));
    assert_eq!(config.autosign_grains, ["uuid"]);
    assert_eq!(config.state_file, Path::new("/run/m.json"));
    assert!(config.unknown.is_empty() && config.warnings.is_empty());
}

#[test]
fn salts_words_for_none_are_none() {
    let config = Salt::main(
        "master_tries: -1\nretry_dns_count:\nacceptance_wait_time_max: 0\nmaster_alive_interval: 0\nping_interval: 0\n\
         source_address: ''\nsource_ret_port: 0\npublish_port: 4506\nmaster_finger: ''\ntcp_keepalive_idle: -1\n\
         master_failback_interval: 0\nlog_level_logfile:\nipv6:\n",
    )
    .config();
    assert_eq!(config.failover, Settings::default());
    assert!(config.publish_port.is_none() && config.master_finger.is_none());
    let Keepalive::On {
        idle,
        interval,
        count,
    } = config.network.keepalive
    else {
        panic!("keepalive is off");
    };
    assert_eq!((idle, interval, count), (None, None, None));
}

#[test]
fn keepalive_is_salts() {
    let config =
        Salt::main("tcp_keepalive_idle: 60.0\ntcp_keepalive_intvl: 10\ntcp_keepalive_cnt: 3\n")
            .config();
    let second = Duration::from_secs;
    assert_eq!(
        config.network.keepalive,
        Keepalive::On {
            idle: Some(second(60)),
            interval: Some(second(10)),
            count: Some(3)
        }
    );
    assert_eq!(
        Salt::main("tcp_keepalive: False\n")
            .config()
            .network
            .keepalive,
        Keepalive::Off
    );
}

#[test]
fn the_old_name_of_random_master_counts_with_failover_alone() {
    let shuffled = |text: &str| Salt::main(text).config().failover.random_master;
    assert!(shuffled(
        "master: [a, b]\nmaster_type: failover\nmaster_shuffle: True\n"
    ));
    assert!(!shuffled("master: [a, b]\nmaster_shuffle: True\n"));
    assert!(shuffled("random_master: True\n"));
}

#[test]
fn an_id_that_is_no_text_becomes_one_as_in_python() {
    for (text, id) in [
        ("12", "12"),
        ("yes", "True"),
        ("1.5", "1.5"),
        ("'012'", "012"),
        ("~", "None"),
    ] {
        let salt = Salt::with(&[("minion", &format!("id: {text}\n"))]);
        assert_eq!(salt.config().id.as_str(), id, "{text}");
    }
}

#[test]
fn the_id_file_lies_in_salts_directory_below_root_dir() {
    let salt = Salt::with(&[("root/etc/salt/minion_id", "kept.example.org\nmore\n")]);
    let main = format!("root_dir: {}/root\n", salt.path().display());
    fs::write(salt.path().join("minion"), &main).unwrap();
    assert_eq!(salt.config().id.as_str(), "kept.example.org");
    fs::write(
        salt.path().join("minion"),
        format!("{main}append_domain: org\nid: own\n"),
    )
    .unwrap();
    assert_eq!(salt.config().id.as_str(), "own.org");
    fs::write(
        salt.path().join("minion"),
        format!("{main}append_domain: org\n"),
    )
    .unwrap();
    assert_eq!(salt.config().id.as_str(), "kept.example.org");
    fs::write(
        salt.path().join("minion"),
        format!("{main}minion_id_caching: False\n"),
    )
    .unwrap();
    assert_ne!(salt.config().id.as_str(), "kept.example.org");
}

#[test]
fn directories_can_end_with_the_id_and_begin_with_root_dir() {
    let config = Salt::main(
        "root_dir: /srv/salt\npki_dir: /etc/salt/pki/minion\nappend_minionid_config_dirs: [pki_dir, cachedir]\n\
         log_dir: /logs\nlog_file: m.log\n",
    )
    .config();
    assert_eq!(
        config.pki_dir,
        Path::new("/srv/salt/etc/salt/pki/minion/m1")
    );
    assert_eq!(
        config.cachedir,
        Path::new("/srv/salt/var/cache/salt/minion/m1")
    );
    assert_eq!(
        config.log.file.unwrap().0,
        Path::new("/srv/salt/logs/m.log")
    );
}

#[test]
fn the_log_is_configured_as_salts_is() {
    let config = Salt::main(
        "log_level: info\nlog_level_logfile: debug\nlog_fmt_console: '%(colorlevel)s %(colormsg)s'\n\
         log_fmt_logfile: '%(asctime)s %(message)s'\nlog_datefmt: '%H'\nlog_datefmt_logfile: '%Y'\n\
         log_granular_levels: {salt: warning, minion.net: error}\n",
    )
    .config();
    let (_, file) = config.log.file.unwrap();
    assert_eq!(
        (config.log.console.level, file.level),
        (Level::Info, Level::Debug)
    );
    assert_eq!(
        config.log.console.format.to_string(),
        "%(colorlevel)s %(colormsg)s"
    );
    assert_eq!(file.format.to_string(), "%(asctime)s %(message)s");
    assert_eq!(config.log.console.datefmt.to_string(), "%H");
    assert_eq!(file.datefmt.to_string(), "%Y");
    assert_eq!(config.log.granular.len(), 2);
    let quiet = Salt::main("log_level: debug\nlog_level_logfile: quiet\n").config();
    assert!(quiet.log.file.is_none());
    let inherits = Salt::main("log_level: debug\n").config();
    assert_eq!(inherits.log.file.unwrap().1.level, Level::Debug);
}

#[test]
fn the_command_line_comes_before_the_configuration() {
    let salt = Salt::main("log_level: info\nlog_file: /a\n");
    let overrides = Overrides {
        log_level: Some(Level::Trace),
        log_file: Some("/b".into()),
        log_file_level: Some(Level::Error),
        log_format: Some(log::Style::Json),
    };
    let config = load(&salt.path().join("minion"), &overrides).unwrap();
    let (path, file) = config.log.file.unwrap();
    assert_eq!(
        (config.log.console.level, file.level),
        (Level::Trace, Level::Error)
    );
    assert_eq!(
        (path.as_path(), config.log.style),
        (Path::new("/b"), log::Style::Json)
    );
}

#[test]
fn grains_of_the_configuration_come_over_those_of_the_file() {
    let salt = Salt::with(&[
        (
            "minion",
            "id: m1\ngrains: {role: web, deep: {b: 2}, n: -1, x: 1.5}\n",
        ),
        ("grains", "role: db\nrack: 7\ndeep: {a: [1, null, yes]}\n"),
    ]);
    let grain = |config: &Config, name: &str| {
        let Value::Map(grains) = &config.grains else {
            panic!("no map")
        };
        grains
            .iter()
            .find(|(key, _)| key.as_text() == Some(name))
            .unwrap()
            .1
            .clone()
    };
    let config = salt.config();
    assert_eq!(grain(&config, "role"), "web".into());
    assert_eq!(grain(&config, "rack"), Value::Unsigned(7));
    assert_eq!(grain(&config, "n"), Value::Signed(-1));
    assert_eq!(grain(&config, "x"), Value::Float(1.5));
    assert_eq!(
        grain(&config, "deep"),
        Value::map([("b", Value::Unsigned(2))])
    );
    fs::write(
        salt.path().join("minion.d.conf"),
        "grains_deep_merge: True\n",
    )
    .unwrap();
    let main = fs::read_to_string(salt.path().join("minion")).unwrap();
    fs::write(
        salt.path().join("minion"),
        format!("{main}include: minion.d.conf\n"),
    )
    .unwrap();
    let list = Value::Array(vec![Value::Unsigned(1), Value::Nil, Value::Bool(true)]);
    assert_eq!(
        grain(&salt.config(), "deep"),
        Value::map([("a", list), ("b", Value::Unsigned(2))])
    );
}

#[test]
fn options_without_effect_are_told_and_unknown_ones_listed() {
    let config = Salt::main(
        "sign_pub_messages: False\npermissive_pki_access: True\nfips_mode: True\nfile_client: local\nauth_retries: 3\n\
         minion_sign_messages: True\nmine_interval: 60\nbeacons: {load: []}\nmaster_alive_intervall: 3\n\
         log_file: file:///dev/log\n",
    )
    .config();
    assert_eq!(config.warnings.len(), 7, "{:?}", config.warnings);
    assert!(
        config
            .warnings
            .iter()
            .all(|warning| warning.contains("/minion: `"))
    );
    assert_eq!(
        config.unknown,
        ["beacons", "master_alive_intervall", "mine_interval"]
    );
    assert!(config.log.file.is_none());
}

#[test]
fn a_master_finger_is_read_in_either_case() {
    let finger = "AB:".repeat(31) + "cd";
    let config = Salt::main(&format!("master_finger: '{finger}'\n")).config();
    assert_eq!(
        config.master_finger.unwrap().to_string(),
        finger.to_lowercase()
    );
}
