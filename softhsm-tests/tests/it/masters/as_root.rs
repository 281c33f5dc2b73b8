//! What needs a firewall or a resolver of the test's own: packets that vanish, ports that are
//! closed, a peer that lost its memory, names that lead to several addresses.

use softhsm_tests::namespace::{Fault, SPARE};

use super::failover::{ATTENTIVE, NO_MASTER, begin, expect_move};
use super::*;

pub(super) fn masters_that_deny_the_minions_packets_are_left(version: Version) {
    walk(version, Fault::Deny);
}

pub(super) fn masters_behind_a_cut_cable_are_left(version: Version) {
    walk(version, Fault::Unplug);
}

pub(super) fn masters_whose_port_closes_are_left(version: Version) {
    walk(version, Fault::Refuse);
}

/// The fault meets the positions 1, 2 and 3 of the list.
fn walk(version: Version, fault: Fault) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let network = network(&stage);
    let minion = begin(&stage, &trio, &[ATTENTIVE]);
    for at in 0..3 {
        let mark = minion.log().len();
        network.inject(fault, trio.masters[at].address()).unwrap();
        expect_move(&minion, mark, &trio, at, (at + 1) % 3);
        assert!(network.hits().unwrap() > 0, "no packet has met {fault:?}");
        network.lift().unwrap();
    }
}

pub(super) fn masters_that_have_forgotten_the_connection_are_left(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let network = network(&stage);
    // The interval is so long that it is the answer of the host which tells, not the silence.
    let minion = begin(&stage, &trio, &[("master_alive_interval", "20")]);
    for at in 0..3 {
        let mark = minion.log().len();
        let master = trio.masters[at].address();
        network.inject(Fault::Unplug, master).unwrap();
        network.forget_connections_of(master).unwrap();
        assert!(network.connections_to(master).unwrap() > 0);
        network.lift().unwrap();
        expect_move(&minion, mark, &trio, at, (at + 1) % 3);
    }
}

/// One name and three addresses: the first refuses, the second says nothing, the third is a master.
/// When that one is lost, the first has come back.
pub(super) fn a_name_leads_to_whichever_of_its_addresses_answers(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let network = network(&stage);
    // In the order in which glibc gives them: by the prefix that they share with 127.0.0.1, and what
    // shares as much as it stands in the file (RFC 6724, section 6, rule 9).
    let [refusing, living, silent] = &trio.masters;
    let hosts: String = [refusing, silent, living]
        .map(|master| format!("{} fleet\n", master.address()))
        .concat();
    network.inject(Fault::Refuse, refusing.address()).unwrap();
    network.inject(Fault::Deny, silent.address()).unwrap();
    let minion = start_with_hosts(&stage, "fleet", &hosts, &[ATTENTIVE]);
    minion.log().wait_for(READY).unwrap();
    expect_answer(&minion, living);
    for dead in [refusing, silent] {
        let hits = network.hits_of(dead.address()).unwrap();
        assert!(hits > 0, "{} was not tried", dead.address());
    }
    assert_eq!(minion.log().count(SIGNED_IN), 1);

    let mark = minion.log().len();
    network.lift().unwrap();
    network.inject(Fault::Refuse, living.address()).unwrap();
    minion
        .log()
        .wait_for_after(mark, "Connection to master fleet lost")
        .unwrap();
    minion.log().wait_for_after(mark, READY).unwrap();
    expect_answer(&minion, refusing);
    network.lift().unwrap();
}

/// A master on `::1` and one on `127.0.0.2`, and a name for both: the option alone decides.
pub(super) fn ipv6_decides_to_which_address_of_a_name_it_goes(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let (four, six) = (&trio.masters[1], stage.six().unwrap());
    let network = network(&stage);
    let start = |name: &str, options: &[(&str, &str)]| {
        // Nobody is at the second address of IPv6, and no route leads there.
        let hosts = format!(
            "::1 both six\n{four} both\nfd00::1 half\n{four} half four\n",
            four = four.address()
        );
        start_with_hosts(&stage, name, &hosts, options)
    };
    for (ipv6, name, master) in [
        (None, "both", six),
        (Some("True"), "both", six),
        (Some("False"), "both", four),
        (None, "half", four),
        (Some("False"), "half", four),
        (Some("True"), "six", six),
        (Some("True"), "four", four),
    ] {
        let option = ipv6.map(|value| ("ipv6", value));
        let minion = start(name, option.as_slice());
        minion.log().wait_for(READY).unwrap();
        expect_answer(&minion, master);
    }
    for (ipv6, name, complaint) in [
        (
            "True",
            "half",
            "The Salt Master at half could not be used: ",
        ),
        (
            "False",
            "six",
            "DNS lookup or connection check of 'six' failed.",
        ),
    ] {
        let minion = start(name, &[("ipv6", ipv6)]);
        minion.log().wait_for(complaint).unwrap();
        minion.log().wait_for(NO_MASTER).unwrap();
        assert_eq!(minion.log().count(SIGNED_IN), 0);
    }

    let source = SPARE.to_string();
    let quoted = format!("'{source}'");
    let minion = start("six", &[("source_address", &quoted)]);
    minion.log().wait_for(READY).unwrap();
    expect_answer(&minion, six);
    // For requests and for publications.
    assert_eq!(network.connections_from(SPARE).unwrap(), 2);
}

/// A minion whose one master is a name that nobody else knows.
fn start_with_hosts(
    stage: &Stage,
    name: &str,
    hosts: &str,
    options: &[(&str, &str)],
) -> RunningOurs {
    let host = Host::of(stage, Algorithm::Sha1);
    let files = host.minion_at(&fresh_id(), &[name.to_owned()], options);
    files.start_with_hosts(network(stage), hosts).unwrap()
}

fn network(stage: &Stage) -> &Namespace {
    stage.namespace().expect(
        "this needs a network of its own: run it as root, or leave it out with `--skip as_root::`",
    )
}
