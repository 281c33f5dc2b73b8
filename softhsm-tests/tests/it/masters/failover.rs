//! One minion and three real masters, of which one after the other gets lost.
//!
//! A walk begins at the first of the list and loses each of them once, so that the fault meets the
//! positions 1, 2 and 3; the last step leads back to the first, which is up again.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use softhsm_tests::salt::Trio;

use super::*;

pub(super) fn killed_masters_are_left_one_after_the_other(version: Version) {
    kill(version, Algorithm::Sha1);
}

pub(super) fn killed_masters_with_sha224_are_left_one_after_the_other(version: Version) {
    kill(version, Algorithm::Sha224);
}

fn kill(version: Version, algorithm: Algorithm) {
    let stage = stage(version);
    let mut trio = stage.trio_of(algorithm).unwrap();
    let minion = begin(&stage, &trio, &[]);
    // The command that operators type, before and after.
    ping_by_command(&trio.masters[0], &minion);
    for at in 0..3 {
        let mark = minion.log().len();
        trio.masters[at].kill();
        assert!(trio.masters[at].process().is_gone().unwrap());
        let next = (at + 1) % 3;
        expect_move(&minion, mark, &trio, at, next);
        ping_by_command(&trio.masters[next], &minion);
        trio.masters[at].restart().unwrap();
    }
}

pub(super) fn stopped_masters_are_left_one_after_the_other(version: Version) {
    stop(version, Algorithm::Sha1);
}

pub(super) fn stopped_masters_with_sha224_are_left_one_after_the_other(version: Version) {
    stop(version, Algorithm::Sha224);
}

fn stop(version: Version, algorithm: Algorithm) {
    let stage = stage(version);
    let trio = stage.trio_of(algorithm).unwrap();
    let minion = begin(&stage, &trio, &[ATTENTIVE]);
    for at in 0..3 {
        let mark = minion.log().len();
        trio.masters[at].process().stop().unwrap();
        expect_move(&minion, mark, &trio, at, (at + 1) % 3);
        trio.masters[at].process().resume().unwrap();
    }
}

/// Each kind of master that is no good at each of three positions: the minion asks it, says what
/// was wrong, and ends at a good one.
pub(super) fn masters_that_are_no_good_are_passed_over_at_every_position(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let hung = &trio.masters[2];
    hung.process().stop().unwrap();
    // Nobody listens there, so the kernel refuses.
    let closed = Ipv4Addr::new(127, 0, 0, 77);
    let unreachable = format!("Master {closed} could not be reached, trying next master (if any)");
    let unverified = |address: Ipv4Addr| {
        format!(
            "Received signed public-key from master {address} but signature verification failed!"
        )
    };
    let (foreign, forged) = (trio.foreign.address(), trio.forged.address());
    let bad = [
        (closed, unreachable),
        // It is not waited for: the next is asked a moment later, and answers.
        (hung.address(), asking(hung.address())),
        (foreign, unverified(foreign)),
        (forged, unverified(forged)),
    ];
    for (bad, complaint) in bad {
        for position in 0..3 {
            pass_over(&stage, &trio, bad, position, &complaint);
        }
    }
}

fn pass_over(stage: &Stage, trio: &Trio, bad: Ipv4Addr, position: usize, complaint: &str) {
    let [good, other, _] = &trio.masters;
    let mut list = vec![good.address(), other.address()];
    list.insert(position, bad);
    let list: Vec<String> = list.iter().map(Ipv4Addr::to_string).collect();
    let host = Host::of(stage, Algorithm::Sha1);
    // Two masters that hang are not waited for longer than a test has to.
    let minion =
        host.start(host.minion_at(&fresh_id(), &list, &[ATTENTIVE, ("auth_timeout", "5")]));
    let mut mark = 0;
    if position > 0 {
        expect_on(&minion, 0, good);
        mark = minion.log().len();
        if position == 2 {
            other.process().stop().unwrap();
        }
        good.process().stop().unwrap();
    }
    minion.log().wait_for_after(mark, &asking(bad)).unwrap();
    minion.log().wait_for_after(mark, complaint).unwrap();
    match position {
        0 => expect_on(&minion, mark, good),
        1 => expect_on(&minion, mark, other),
        _ => {
            minion.log().wait_for_after(mark, NO_MASTER).unwrap();
            mark = minion.log().len();
            good.process().resume().unwrap();
            expect_on(&minion, mark, good);
        }
    }
    for master in [good, other] {
        master.process().resume().unwrap();
    }
}

pub(super) fn all_masters_are_gone_and_one_comes_back(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let minion = begin(&stage, &trio, &[ATTENTIVE, ("auth_timeout", "5")]);
    for last in 0..3 {
        let mark = minion.log().len();
        for master in &trio.masters {
            master.process().stop().unwrap();
        }
        minion.log().wait_for_after(mark, NO_MASTER).unwrap();
        let mark = minion.log().len();
        trio.masters[last].process().resume().unwrap();
        expect_on(&minion, mark, &trio.masters[last]);
    }
    for master in &trio.masters {
        master.process().resume().unwrap();
    }
}

/// A first master that comes and goes is gone back to later each time.
pub(super) fn a_flapping_first_master_is_left_alone(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let options = [ATTENTIVE, FAILBACK[0], FAILBACK[1]];
    let minion = begin(&stage, &trio, &options);
    let [first, second, _] = &trio.masters;
    for least in [1.0, 2.0, 4.0] {
        let mark = minion.log().len();
        first.process().stop().unwrap();
        expect_ready(&minion, mark, second);
        let (there, mark) = (Instant::now(), minion.log().len());
        first.process().resume().unwrap();
        let back = minion.log().wait_for_after(mark, &asking(first.address()));
        back.unwrap();
        // What this test sees it sees a little late.
        let slack = Duration::from_millis(300);
        let alone = there.elapsed() + slack;
        assert!(
            alone >= Duration::from_secs_f64(least),
            "{alone:?} of {least} s"
        );
        expect_on(&minion, mark, first);
    }
    let lost = format!("Connection to master {} lost", first.address());
    assert_eq!(minion.log().count(&lost), 3, "{}", minion.log().text());
}

/// Without `master_failback` nobody goes back to a master that comes and goes, whichever of the three
/// it is.
pub(super) fn masters_that_flap_are_left_at_every_position(version: Version) {
    let stage = stage(version);
    let trio = stage.trio().unwrap();
    let minion = begin(&stage, &trio, &[ATTENTIVE]);
    for at in 0..3 {
        let (flapping, next) = (&trio.masters[at], &trio.masters[(at + 1) % 3]);
        let mark = minion.log().len();
        flapping.process().stop().unwrap();
        expect_move(&minion, mark, &trio, at, (at + 1) % 3);
        let mark = minion.log().len();
        for _ in 0..3 {
            flapping.process().resume().unwrap();
            expect_answer(&minion, next);
            flapping.process().stop().unwrap();
            expect_answer(&minion, next);
        }
        flapping.process().resume().unwrap();
        let text = minion.log().text();
        let since: Vec<_> = text.lines().skip(mark).collect();
        let asked = since
            .iter()
            .any(|line| line.contains(&asking(flapping.address())));
        assert!(!asked, "{since:?}");
    }
}

/// From the second and from the third of the list.
pub(super) fn the_first_master_is_gone_back_to(version: Version) {
    for position in [1, 2] {
        go_back_from(version, position);
    }
}

fn go_back_from(version: Version, position: usize) {
    let stage = stage(version);
    let mut trio = stage.trio().unwrap();
    let minion = begin(&stage, &trio, &FAILBACK);
    for at in 0..position {
        let mark = minion.log().len();
        trio.masters[at].kill();
        expect_on(&minion, mark, &trio.masters[at + 1]);
    }
    let mark = minion.log().len();
    trio.masters[0].restart().unwrap();
    expect_on(&minion, mark, &trio.masters[0]);
    // Made before broken: the one that it was on was not lost but left.
    let left = trio.masters[position].address();
    let lost = format!("Connection to master {left} lost");
    assert_eq!(minion.log().count(&lost), 0);
}

/// A new minion at the first of the three.
pub(super) fn begin(stage: &Stage, trio: &Trio, options: &[(&str, &str)]) -> RunningOurs {
    let host = Host::of(stage, trio.algorithm);
    let masters: Vec<&Master> = trio.masters.iter().collect();
    let minion = host.start(host.minion(&masters, options));
    expect_on(&minion, 0, &trio.masters[0]);
    minion
}

/// The minion says in the tutorial's words that it lost one master, and works with the next.
pub(super) fn expect_move(
    minion: &RunningOurs,
    from: usize,
    trio: &Trio,
    lost: usize,
    next: usize,
) {
    let (lost, next) = (&trio.masters[lost], &trio.masters[next]);
    for line in [
        format!("Connection to master {} lost", lost.address()),
        "Trying to tune in to next master from master-list".to_owned(),
        format!(
            "Removing possibly failed master {} from list of masters",
            lost.address()
        ),
        format!(
            "Master ip address changed from {} to {}",
            lost.address(),
            next.address()
        ),
    ] {
        minion.log().wait_for_after(from, &line).unwrap();
    }
    expect_on(minion, from, next);
}

fn asking(master: Ipv4Addr) -> String {
    format!("Attempting to authenticate with the Salt Master at {master}")
}

fn ping_by_command(master: &Master, minion: &RunningOurs) {
    let answer = master.salt(minion.id(), "test.ping").unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, json!({ minion.id(): true }));
}

/// For masters that fall silent: noticed within three seconds. Not shorter, since a master that is
/// merely slow while others start would be taken for one.
pub(super) const ATTENTIVE: (&str, &str) = ("master_alive_interval", "2");

const FAILBACK: [(&str, &str); 2] = [
    ("master_failback", "True"),
    ("master_failback_interval", "1"),
];

pub(super) const NO_MASTER: &str =
    "No master could be reached or all masters denied the minion's connection";
