//! A stock minion's configuration file.

use std::fs;

use minion::config::{Overrides, load};
use minion::failover::MasterType;

/// Any file is a configuration or an error that names a file, and what is taken can be lived by.
///
/// It goes through the file system, as the rules of inclusion do. `minion_id` stands beside it,
/// because a minion without an id asks the name servers for one.
pub fn run(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("minion");
    fs::write(&file, input).expect("a file");
    fs::write(folder.path().join("minion_id"), "fuzzed").expect("a file");
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
