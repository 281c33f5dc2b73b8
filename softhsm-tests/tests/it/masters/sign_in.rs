//! What a master can answer to a sign-in.

use super::*;

pub(super) fn a_master_with_a_signature_file_is_verified_and_used(
    version: Version,
    algorithm: Algorithm,
) {
    let stage = stage(version);
    let master = stage.quiet(algorithm).unwrap();
    let host = Host::of(&stage, algorithm);
    let minion = host.start_accepted(master, &[]);
    expect_answer(&minion, master);

    // The commands themselves, once.
    let answer: Value =
        serde_json::from_str(&master.salt(minion.id(), "test.ping").unwrap()).unwrap();
    assert_eq!(answer, json!({ minion.id(): true }));
    let keys = master.salt_key(&["--list=accepted"]).unwrap();
    let accepted = keys.get("minions").and_then(Value::as_array).unwrap();
    assert!(accepted.contains(&json!(minion.id())), "{keys}");
    assert!(
        !master
            .installation()
            .pki_dir()
            .join("master_sign.pem")
            .exists()
    );
}

pub(super) fn a_pending_minion_waits_and_is_let_in_when_it_is_accepted(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    at(version, algorithm, way, |host, master| {
        let console = master.console().unwrap();
        let minion = host.start(host.minion(&[master], &[]));
        minion.log().wait_for(CACHED).unwrap();
        console.expect_key(minion.id(), "minions_pre").unwrap();
        assert_eq!(minion.log().count(SIGNED_IN), 0);

        let_in(&minion, master, console);
    });
}

pub(super) fn a_rejected_minion_goes_on_asking_and_is_let_in_when_it_is_accepted(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    at(version, algorithm, way, |host, master| {
        let console = master.console().unwrap();
        let minion = host.start(host.minion(&[master], &[]));
        minion.log().wait_for(CACHED).unwrap();
        console.key("reject", &json!([minion.id()])).unwrap();
        console.expect_key(minion.id(), "minions_rejected").unwrap();
        // Nobody has proved yet to be the master, so this is a hint and no reason to end.
        minion.log().wait_for(REJECTED).unwrap();

        let_in(&minion, master, console);
    });
}

pub(super) fn a_rejection_by_the_only_master_that_is_known_ends_the_minion(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    at(version, algorithm, way, |host, master| {
        let minion = host.start_accepted(master, &[]);
        let files = minion.end();
        let console = master.console().unwrap();
        console.key("reject", &json!([files.id(), true])).unwrap();
        console.expect_key(files.id(), "minions_rejected").unwrap();

        let mut minion = host.start(files);
        minion.log().wait_for(REJECTED).unwrap();
        let status = minion.process_mut().wait().unwrap();
        assert_eq!(status.code(), Some(EX_NOPERM), "{}", minion.log().text());
    });
}

pub(super) fn another_key_for_the_id_is_denied(version: Version, algorithm: Algorithm, way: Way) {
    at(version, algorithm, way, |host, master| {
        let console = master.console().unwrap();
        let minion = host.minion(&[master], &[]);
        // The key that the master made and accepted goes nowhere; the minion makes its own.
        console.key("gen_accept", &json!([minion.id()])).unwrap();
        let minion = host.start(minion);
        minion.log().wait_for(REJECTED).unwrap();
        console.expect_key(minion.id(), "minions_denied").unwrap();
        console.expect_key(minion.id(), "minions").unwrap();
        assert_eq!(minion.log().count(SIGNED_IN), 0);

        // The operator finds out that it was a new disk.
        console.key("delete", &json!([minion.id()])).unwrap();
        minion.log().wait_for(CACHED).unwrap();
        let_in(&minion, master, console);
    });
}

pub(super) fn a_master_that_signs_each_answer_is_verified_and_used(
    version: Version,
    algorithm: Algorithm,
) {
    let stage = stage(version);
    let restless = stage.restless(SignedBy::Master).unwrap();
    let master = &restless.master;
    let host = Host::at_restless(&stage, algorithm, &restless);
    let minion = host.start_accepted(master, &[]);
    expect_answer(&minion, master);
    assert!(!master.installation().signature_file().exists());
}

/// A master that signs this way and accepts nobody by itself, and the host of a minion for it.
fn at(version: Version, algorithm: Algorithm, way: Way, case: impl FnOnce(&Host<'_>, &Master)) {
    let stage = stage(version);
    match way {
        Way::Precomputed => case(
            &Host::of(&stage, algorithm),
            stage.quiet(algorithm).unwrap(),
        ),
        Way::PerRequest => {
            let restless = stage.restless(SignedBy::Master).unwrap();
            let host = Host::at_restless(&stage, algorithm, &restless);
            case(&host, &restless.master);
        }
    }
}

/// Salt's exit code of a minion that no master wants.
const EX_NOPERM: i32 = 77;
