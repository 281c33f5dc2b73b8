//! What needs a firewall: packets that vanish, ports that are closed, a peer that lost its memory.

use softhsm_tests::namespace::Fault;

use super::failover::{ATTENTIVE, begin, expect_move};
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

fn network(stage: &Stage) -> &Namespace {
    stage.namespace().expect(
        "this needs a network of its own: run it as root, or leave it out with `--skip as_root::`",
    )
}
