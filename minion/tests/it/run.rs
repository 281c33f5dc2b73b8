//! `mastersign-minion run`, the program itself: what it writes to the log, what it tells a
//! supervisor, which file it keeps, and by which code it ends.

mod as_root;
mod program;
mod returns;

use minion::agent::{MasterState, Status};
use minion::verify::Fingerprint;
use minion::wire::msgpack::Value;
use scripted_master::request::text;
use scripted_master::{Answer, Job, Load, Verdict};

use super::agent::fleet::Fleet;
use program::Program;

/// The tutorial's lines at the start, in its order, and today's markers.
const SIGNED_IN: [&str; 9] = [
    "[DEBUG   ] Attempting to authenticate with the Salt Master at {}",
    "[DEBUG   ] Loaded minion key: ",
    "[DEBUG   ] salt.crypt.verify_signature: Loading public key",
    "[DEBUG   ] salt.crypt.verify_signature: Verifying signature",
    "[DEBUG   ] Successfully verified signature of master public key with verification public key \
     master_sign.pub",
    "[INFO    ] Received signed and verified master pubkey from master {}",
    "[DEBUG   ] Decrypting the current master AES key",
    "[DEBUG   ] Loaded minion key: ",
    "[INFO    ] Authentication with master successful!",
];
const JID: &str = "20261125120000000001";
const OTHER: &str = "20261125120000000002";
const READY: &str = "[INFO    ] Minion is ready to receive requests!";

#[tokio::test]
async fn it_writes_what_the_tutorial_shows_also_when_its_master_is_lost() {
    let mut fleet = Fleet::new(2).await;
    let [first, second] = [0, 1].map(|number| fleet[number].request_address().to_string());
    let mut program = Program::start(&fleet, "master_alive_interval: 30\n", |_| {});
    program
        .sees(&SIGNED_IN.map(|line| line.replace("{}", &first)))
        .await;
    program.sees(&[READY.to_owned()]).await;

    fleet.kill(0);
    let lost = [
        format!("[INFO    ] Connection to master {first} lost"),
        "[INFO    ] Trying to tune in to next master from master-list".to_owned(),
        format!("[INFO    ] Removing possibly failed master {first} from list of masters"),
        format!("[WARNING ] Master ip address changed from {first} to {second}"),
    ];
    program.sees(&lost).await;
    program
        .sees(&SIGNED_IN.map(|line| line.replace("{}", &second)))
        .await;
    program.sees(&[READY.to_owned()]).await;

    fleet[1].publish(Job::ping(JID)).await;
    fleet[1].until(|log| log.returned(JID)).await;
    let status: Status = serde_json::from_slice(&program.state()).unwrap();
    let states = status.masters.iter().map(|master| master.state);
    assert_eq!(
        states.collect::<Vec<_>>(),
        [MasterState::Lost, MasterState::Connected]
    );
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn a_forged_signature_is_told_in_the_tutorials_words() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "", |pki| {
        let other = scripted_master::Keypair::generate(2048);
        std::fs::write(pki.join("master_sign.pub"), other.public().to_file()).unwrap();
    });
    let at = fleet[0].request_address();
    let lines = [
        format!("[DEBUG   ] Attempting to authenticate with the Salt Master at {at}"),
        "[DEBUG   ] Loaded minion key: ".to_owned(),
        "[DEBUG   ] salt.crypt.verify_signature: Loading public key".to_owned(),
        "[DEBUG   ] salt.crypt.verify_signature: Verifying signature".to_owned(),
        "[DEBUG   ] Failed to verify signature of public key".to_owned(),
        "[CRITICAL] The Salt Master server's public key did not authenticate!".to_owned(),
    ];
    program.sees(&lines).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn another_fingerprint_than_the_configured_one_is_told_in_salts_words() {
    let fleet = Fleet::new(1).await;
    let found = Fingerprint::salt(fleet[0].key().public()).to_string();
    let configured = Fingerprint::salt(fleet.signer()).to_string();
    let options = format!("master_finger: '{configured}'\n");
    let mut program = Program::start(&fleet, &options, |_| {});
    let words = [
        "The specified fingerprint in the master configuration file:",
        &configured,
        "Does not match the authenticating master's key:",
        &found,
        "Verify that the configured fingerprint matches the fingerprint of the correct master and \
         that this minion is not subject to a man-in-the-middle attack.",
    ];
    let mut lines = words.map(str::to_owned);
    lines[0].insert_str(0, "[CRITICAL] ");
    program.sees(&lines).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
    // Where there is room for one line, it is one.
    let status: Status = serde_json::from_slice(&program.state()).unwrap();
    let outcome = status.masters[0].last_outcome.as_deref();
    assert_eq!(outcome, Some(words.join(" ").as_str()));
    fleet[0].read(|log| assert_eq!((log.subscribed, log.commands.len()), (0, 0)));
}

#[tokio::test]
async fn a_supervisor_hears_that_it_is_ready_lives_and_stops() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "", |_| {});
    program.tells("READY=1").await;
    program
        .tells(&format!(
            "STATUS=Connected to {}",
            fleet[0].request_address()
        ))
        .await;
    program.tells("WATCHDOG=1").await;
    program.terminate();
    program.tells("STOPPING=1").await;
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn each_master_is_told_the_grains_by_which_it_finds_minions() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "grains:\n  role: door\n", |_| {});
    let told = |load: &Load| text(load, "cmd") == Some("_pillar");
    fleet[0].until(|log| log.commands.iter().any(told)).await;
    let load = fleet[0].read(|log| {
        log.commands
            .iter()
            .find(|load| told(load))
            .cloned()
            .unwrap()
    });
    let Some((_, Value::Map(grains))) = load.into_iter().find(|(key, _)| *key == "grains".into())
    else {
        panic!("grains");
    };
    assert_eq!(text(&grains, "id"), Some("minion"));
    assert_eq!(text(&grains, "role"), Some("door"));
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn a_job_is_known_again_as_long_as_minion_jid_queue_hwm_says() {
    const LAST: &str = "20261125120000000003";
    let returns = async |options| {
        let fleet = Fleet::new(1).await;
        let mut program = Program::start(&fleet, options, |_| {});
        program.sees(&[READY.to_owned()]).await;
        for jid in [JID, JID, OTHER, JID, LAST] {
            assert_eq!(fleet[0].publish(Job::ping(jid)).await, 1);
        }
        // A minion takes jobs on in order and finishes those under way at its end.
        fleet[0].until(|log| log.returned(LAST)).await;
        program.terminate();
        assert_eq!(program.code().await, Some(0));
        let mut returns = fleet[0].read(|log| {
            let returns = log.returns().into_iter();
            returns.map(str::to_owned).collect::<Vec<_>>()
        });
        returns.sort();
        returns
    };
    assert_eq!(returns("").await, [JID, OTHER, LAST]);
    let one = "minion_jid_queue_hwm: 1\n";
    assert_eq!(returns(one).await, [JID, JID, OTHER, LAST]);
    let none = "minion_jid_queue_hwm: 0\n";
    assert_eq!(returns(none).await, [JID, JID, JID, OTHER, LAST]);
}

#[tokio::test]
async fn it_subscribes_where_and_to_what_the_configuration_says() {
    let fleet = Fleet::new(2).await;
    let elsewhere = fleet[1].publish_address().port();
    let options = format!("publish_port: {elsewhere}\nzmq_filtering: True\n");
    let mut program = Program::start(&fleet, &options, |_| {});
    program.sees(&[READY.to_owned()]).await;
    fleet[0].read(|log| assert_eq!((log.sign_ins.len(), log.topics.len()), (1, 0)));
    fleet[1].read(|log| assert_eq!((log.sign_ins.len(), log.topics.len()), (0, 2)));
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn key_finger_hashes_by_the_configured_hash_type() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "hash_type: SHA512\n", |_| {});
    program.sees(&[READY.to_owned()]).await;
    for (jid, fun) in [(JID, "key.finger"), (OTHER, "key.finger_master")] {
        let job = Job {
            fun: fun.into(),
            ..Job::ping(jid)
        };
        assert_eq!(fleet[0].publish(job).await, 1);
        fleet[0].until(|log| log.returned(jid)).await;
        fleet[0].read(|log| {
            let mut commands = log.commands.iter();
            let load = commands.find(|load| text(load, "jid") == Some(jid));
            let returned = text(load.unwrap(), "return").unwrap();
            // 64 bytes in pairs with colons between them.
            assert_eq!(returned.len(), 64 * 3 - 1, "{fun}: {returned}");
        });
    }
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn lines_about_a_job_name_it_by_log_fmt_jid() {
    let fleet = Fleet::new(1).await;
    let options = "log_fmt_jid: '<%(jid)s>'\nlog_fmt_console: '%(jid)s %(message)s'\n";
    let mut program = Program::start(&fleet, options, |_| {});
    program.sees(&[format!(" {}", &READY[11..])]).await;
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    let line = format!("<{JID}> Returning information for job: {JID}");
    program.sees(&[line]).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn what_has_no_effect_is_listed_once_and_only_for_who_debugs() {
    let line = "options without effect here: beacons, master_alive_intervall, mine_interval, \
                recon_default";
    for (level, expected) in [("debug", 1), ("info", 0)] {
        let fleet = Fleet::new(1).await;
        let options = format!(
            "recon_default: 100\nmine_interval: 60\nbeacons: {{load: []}}\nmaster_alive_intervall: 3\n\
             log_level_logfile: {level}\n"
        );
        let mut program = Program::start(&fleet, &options, |_| {});
        program.sees(&[format!("[DEBUG   ] {line}")]).await;
        program.sees(&[READY.to_owned()]).await;
        program.terminate();
        assert_eq!(program.code().await, Some(0));
        let log = std::fs::read_to_string(program.directory().join("log")).unwrap();
        let ready = "Minion is ready to receive requests!";
        assert_eq!(log.matches(ready).count(), 1, "{log}");
        assert_eq!(log.matches(line).count(), expected, "{log}");
        // Nor in any other words.
        assert_eq!(log.matches("mine_interval").count(), expected, "{log}");
    }
}

#[tokio::test]
async fn the_grains_are_told_as_often_as_request_channel_tries_says() {
    let fleet = Fleet::new(1).await;
    fleet[0].script(|exchange| {
        let command = exchange.command();
        match command.as_ref().and_then(|load| text(load, "cmd")) {
            Some("_pillar") => Answer::Steps(Vec::new()),
            _ => Answer::Honest,
        }
    });
    let options = "request_channel_tries: 3\nrequest_channel_timeout: 1\n";
    let mut program = Program::start(&fleet, options, |_| {});
    let again = "[DEBUG   ] the grains did not reach the master and are told again: ";
    let warning = "[WARNING ] the grains did not reach the master, so salt -G may not find this \
                   minion: ";
    program
        .sees(&[again, again, warning].map(str::to_owned))
        .await;
    let told = |load: &&Load| text(load, "cmd") == Some("_pillar");
    fleet[0].read(|log| {
        assert_eq!(log.faults, 3);
        assert_eq!(log.commands.iter().filter(told).count(), 3);
    });
    // It is found by its name all the same.
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    fleet[0].until(|log| log.returned(JID)).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn without_a_master_it_gives_up_by_salts_exit_code() {
    let mut fleet = Fleet::new(2).await;
    fleet.kill(0);
    fleet.kill(1);
    let options = "master_tries: 1\nrandom_reauth_delay: 0\n";
    let mut program = Program::start(&fleet, options, |_| {});
    let words = "[ERROR   ] No master could be reached or all masters denied the minion's \
                 connection attempt.";
    program.sees(&[words.to_owned()]).await;
    assert_eq!(program.code().await, Some(69));
}

#[tokio::test]
async fn a_master_that_turned_its_key_down_ends_it_by_salts_exit_code() {
    let fleet = Fleet::new(1).await;
    // Only a master that is known can say so: the first sign-in makes it known.
    let mut program = Program::start(&fleet, "", |_| {});
    program.sees(&[READY.to_owned()]).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));

    fleet[0].decide(Verdict::TurnedAway(Value::Bool(false)));
    program.start_again();
    let words = "[CRITICAL] The Salt Master has rejected this minion's public key!";
    program.sees(&[words.to_owned()]).await;
    // EX_NOPERM of sysexits.h.
    assert_eq!(program.code().await, Some(77));
}

#[tokio::test]
async fn what_it_holds_stays_far_below_a_stock_minion() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "", |_| {});
    program.sees(&[READY.to_owned()]).await;
    // Of its own, not of the files that are mapped: a stock minion has 80 MB.
    assert!(
        program.anonymous_kib() < 8 << 10,
        "{} KiB",
        program.anonymous_kib()
    );
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}
