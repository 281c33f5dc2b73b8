//! What happens to a master or its keys while the minion is connected, whichever way it signs.

use super::*;

pub(super) fn a_rotated_key_is_fetched_at_the_next_publication(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    let stage = stage(version);
    let restless = stage.restless(way.signed_by(algorithm)).unwrap();
    let master = &restless.master;
    let console = master.console().unwrap();
    let host = Host::at_restless(&stage, algorithm, &restless);
    let minion = host.start_accepted(master, &[]);
    let (mark, before) = (minion.log().len(), minion.log().count(SIGNED_IN));

    console.key("gen_accept", &json!(["goner"])).unwrap();
    delete_and_rotate(console, "goner");
    // Not lost: the minion gets the new key and reads this very publication with it.
    expect_answer(&minion, master);
    minion.log().wait_for_after(mark, SIGNED_IN).unwrap();
    assert_eq!(minion.log().count(SIGNED_IN), before + 1);
    expect_answer(&minion, master);
}

pub(super) fn a_minion_whose_key_was_deleted_waits_for_the_operator(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    let stage = stage(version);
    let restless = stage.restless(way.signed_by(algorithm)).unwrap();
    let master = &restless.master;
    let console = master.console().unwrap();
    let host = Host::at_restless(&stage, algorithm, &restless);
    let minion = host.start_accepted(master, &[]);

    let mark = minion.log().len();
    delete_and_rotate(console, minion.id());
    // It learns of it with the next publication, also if that is for somebody else.
    publish_to_nobody(console);
    minion.log().wait_for_after(mark, CACHED).unwrap();
    console.expect_key(minion.id(), "minions_pre").unwrap();

    let_in(&minion, master, console);
}

pub(super) fn a_restarted_master_is_found_again(version: Version, algorithm: Algorithm, way: Way) {
    let stage = stage(version);
    let mut restless = stage.restless(way.signed_by(algorithm)).unwrap();
    let host = Host::at_restless(&stage, algorithm, &restless);
    let minion = host.start_accepted(&restless.master, &[]);

    let mark = minion.log().len();
    restless.master.restart().unwrap();
    let lost = format!("Connection to master {} lost", restless.master.address());
    minion.log().wait_for_after(mark, &lost).unwrap();
    expect_on(&minion, mark, &restless.master);
}

pub(super) fn a_full_master_lets_the_minion_in_when_another_leaves(
    version: Version,
    algorithm: Algorithm,
    way: Way,
) {
    let stage = stage(version);
    let restless = stage.restless(way.signed_by(algorithm)).unwrap();
    let master = &restless.master;
    let console = master.console().unwrap();
    let host = Host::at_restless(&stage, algorithm, &restless);
    // Salt counts the minions whose grains it remembers and whose address is connected.
    let resident = host.start_accepted(master, &[("source_address", RESIDENT)]);
    for phantom in ["phantom-1", "phantom-2"] {
        console
            .remember_grains(phantom, &json!({ "ipv4": [RESIDENT] }))
            .unwrap();
    }
    let turned_away = master.process().log().len();
    let newcomer = host.minion(&[master], &[]);
    newcomer.seed(console).unwrap();
    let newcomer = host.start(newcomer);
    let refusal = format!(
        "Too many minions connected (max_minions=1). Rejecting connection from id {}",
        newcomer.id()
    );
    let log = master.process().log();
    log.wait_for_after(turned_away, &refusal).unwrap();
    newcomer.log().wait_for(NO_MASTER).unwrap();
    assert_eq!(newcomer.log().count(SIGNED_IN), 0);

    let mark = newcomer.log().len();
    drop(resident);
    expect_on(&newcomer, mark, master);
}

/// Deletes a key, upon which the master takes a new AES key.
fn delete_and_rotate(console: &Console, id: &str) {
    let mark = console.events().len();
    console.key("delete", &json!([id])).unwrap();
    let rotated = r#"event key {"rotate_aes_key": true"#;
    console.events().wait_for_after(mark, rotated).unwrap();
}

/// A job for a minion that does not exist but whose key is accepted.
fn publish_to_nobody(console: &Console) {
    let keys = console.key("list_all", &json!([])).unwrap();
    let known = keys["minions"].as_array().unwrap();
    if !known.contains(&json!("nobody")) {
        console.key("gen_accept", &json!(["nobody"])).unwrap();
    }
    console
        .publish(("glob", json!("nobody")), "test.ping", &[])
        .unwrap();
}

const NO_MASTER: &str = "No master could be reached or all masters denied the minion's connection";

/// Where the minion comes from that fills the master.
const RESIDENT: &str = "127.0.0.99";
