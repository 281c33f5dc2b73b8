//! From the first attempt to a master that accepts, case by case.

use std::num::NonZeroU32;
use std::time::Duration;

use minion::failover::{
    Event, Evidence, Exit, Failure, MasterType, Outcome, PendingRule, PolicyError, Reason, Settings,
};

use super::scene::{Scene, failover, millis, secs};

const REJECTED: Failure = Failure::Rejected(Evidence::Verified);

fn scene(settings: Settings) -> Scene {
    Scene::new(settings, 1)
}

#[test]
fn the_first_master_that_accepts_is_used() {
    let mut scene = scene(failover(3));
    scene
        .fail(0, Failure::Unreachable)
        .fail(1, Failure::BadSignature)
        .accept(2);
    assert_eq!(scene.switches, [(2, Reason::Started)]);
    assert_eq!(scene.now, secs(0));
}

#[test]
fn a_dead_first_master_costs_a_moment_and_not_auth_timeout() {
    let mut scene = scene(failover(3));
    scene.pass(millis(500));
    assert_eq!(scene.asking(), [0, 1]);
    scene.accept(1);
    assert_eq!((scene.current(), scene.asking()), (Some(1), vec![]));
}

#[test]
fn a_slow_first_master_still_wins_if_it_answers_first() {
    let mut scene = scene(failover(2));
    scene.pass(millis(600)).accept(0);
    assert_eq!(scene.current(), Some(0));
    let back = "Master ip address changed from 172.16.0.11 to 172.16.0.10";
    assert!(scene.lines().contains(&back.to_owned()));
}

#[test]
fn every_failure_leads_to_the_next_master_at_once() {
    for failure in [
        Failure::BadSignature,
        Failure::Broken,
        Failure::FingerprintMismatch,
        Failure::Full,
        Failure::MissingSignature,
        Failure::NoAnswer,
        REJECTED,
        Failure::Unreachable,
        Failure::Unresolved,
        Failure::UnsupportedAlgorithm,
    ] {
        let mut scene = scene(failover(2));
        scene.fail(0, failure);
        assert_eq!(scene.asked, [(secs(0), 0), (secs(0), 1)], "{failure:?}");
        assert_eq!(scene.exit, None);
    }
}

#[test]
fn a_pending_minion_stays_and_asks_again() {
    let mut scene = scene(failover(3));
    scene
        .answer(0, Outcome::Pending)
        .pass(secs(10))
        .answer(0, Outcome::Pending);
    scene.pass(secs(10)).accept(0);
    assert_eq!(
        scene.asked.iter().map(|(_, at)| *at).collect::<Vec<_>>(),
        [0, 0, 0]
    );
    let told = "The Salt Master has cached the public key for this node, this salt minion will \
                wait for 10 seconds before attempting to re-authenticate";
    assert_eq!(scene.lines().iter().filter(|line| *line == told).count(), 2);
}

#[test]
fn the_wait_of_a_pending_minion_doubles_up_to_the_maximum() {
    let mut scene = scene(Settings {
        acceptance_wait_time_max: Some(secs(40)),
        ..failover(1)
    });
    let mut waits = Vec::new();
    for _ in 0..4 {
        let asked = scene.now;
        scene.answer(0, Outcome::Pending);
        scene.now = scene.wake.unwrap();
        waits.push(scene.now - asked);
        scene.step(Event::Woke);
    }
    for (wait, full) in waits.into_iter().zip([10, 20, 40, 40]) {
        assert!(
            secs(full) / 2 <= wait && wait <= secs(full),
            "{wait:?} of {full}"
        );
    }
}

#[test]
fn a_pending_minion_moves_on_if_told_to() {
    let mut scene = scene(Settings {
        pending: PendingRule::MoveOn,
        ..failover(3)
    });
    scene
        .answer(0, Outcome::Pending)
        .fail(1, Failure::Full)
        .accept(2);
    assert_eq!(scene.current(), Some(2));
}

#[test]
fn a_minion_that_nobody_knows_waits_for_an_operator_at_any_of_them() {
    let mut scene = scene(Settings {
        pending: PendingRule::MoveOn,
        ..failover(2)
    });
    scene
        .answer(0, Outcome::Pending)
        .answer(1, Outcome::Pending)
        .pass(secs(10));
    scene.answer(0, Outcome::Pending).accept(1);
    assert_eq!(scene.current(), Some(1));
}

#[test]
fn a_master_that_accepts_beats_one_that_is_pending() {
    let mut scene = scene(failover(3));
    scene
        .pass(millis(500))
        .answer(0, Outcome::Pending)
        .accept(1);
    assert_eq!(scene.asked.len(), 2);
    assert_eq!(scene.current(), Some(1));
}

#[test]
fn of_two_pending_masters_the_first_of_the_list_is_waited_for() {
    let mut scene = scene(failover(2));
    scene.pass(millis(500));
    scene
        .answer(1, Outcome::Pending)
        .answer(0, Outcome::Pending)
        .pass(secs(10));
    assert_eq!(scene.asking(), [0]);
}

#[test]
fn a_pending_master_that_dies_is_left() {
    let mut scene = scene(failover(2));
    scene
        .answer(0, Outcome::Pending)
        .pass(secs(10))
        .fail(0, Failure::Unreachable)
        .accept(1);
    assert_eq!(scene.current(), Some(1));
}

#[test]
fn a_rejection_ends_the_minion_only_if_every_master_rejects_it() {
    let mut some = scene(failover(2));
    some.fail(0, REJECTED)
        .fail(1, Failure::Unreachable)
        .pass(secs(60));
    assert_eq!(some.exit, None);
    let mut all = scene(failover(2));
    all.fail(0, REJECTED).fail(1, REJECTED).pass(millis(9_900));
    assert_eq!(all.exit, None);
    all.pass(secs(11));
    assert_eq!(all.exit.map(Exit::code), Some(77));
    assert!(
        all.lines()
            .last()
            .unwrap()
            .ends_with("The Salt Minion will now exit.")
    );
}

#[test]
fn a_rejection_tells_the_operator_what_to_do() {
    let mut scene = scene(failover(2));
    scene.fail(0, REJECTED);
    let told = "The Salt Master has rejected this minion's public key.\n\
                To repair this issue, delete the public key for this minion on the Salt Master.\n\
                The Salt Minion will attempt to to re-authenicate.";
    assert_eq!(scene.lines()[1], told);
    let next = "Master 172.16.0.10 could not be reached, trying next master (if any)";
    assert_eq!(scene.lines()[2], next);
}

#[test]
fn an_unsigned_rejection_and_rejected_retry_never_end_the_minion() {
    let mut hint = scene(failover(2));
    hint.fail(0, REJECTED)
        .fail(1, Failure::Rejected(Evidence::Hint))
        .pass(secs(60));
    let mut retry = scene(Settings {
        rejected_retry: true,
        ..failover(1)
    });
    retry.fail(0, REJECTED).pass(secs(60));
    assert_eq!((hint.exit, retry.exit), (None, None));
    assert!(retry.asked.len() > 2);
}

#[test]
fn when_all_masters_are_down_the_rounds_get_rarer_but_do_not_end() {
    let mut scene = scene(failover(3));
    for at in 0..3 {
        scene.fail(at, Failure::Unreachable);
    }
    scene.pass_with(secs(600), |scene| {
        while let Some(at) = scene.asking().first().copied() {
            scene.fail(at, Failure::Unreachable);
        }
    });
    let rounds = scene.asked.len() / 3;
    assert!(
        (60..=125).contains(&rounds),
        "{rounds} rounds in ten minutes"
    );
}

#[test]
fn master_tries_ends_the_minion_after_its_rounds() {
    for (failure, exit) in [(Failure::Full, 69), (Failure::MissingSignature, 42)] {
        let mut scene = scene(Settings {
            master_tries: NonZeroU32::new(2),
            ..failover(2)
        });
        scene
            .fail(0, failure)
            .fail(1, failure)
            .pass(secs(1))
            .fail(0, failure)
            .fail(1, failure);
        scene.pass(secs(10));
        assert_eq!(scene.exit.map(Exit::code), Some(exit));
        assert_eq!(scene.asked.len(), 4);
    }
}

#[test]
fn safemode_does_not_count_rounds_without_an_answer() {
    let tries = NonZeroU32::new(1);
    let mut scene = scene(Settings {
        master_tries: tries,
        auth_safemode: true,
        ..failover(2)
    });
    scene.pass(secs(60));
    assert_eq!(scene.exit, None);
}

#[test]
fn str_uses_every_master_with_a_machine_of_its_own() {
    let settings = Settings {
        master_type: MasterType::Str,
        ..failover(3)
    };
    assert_eq!(settings.policies().unwrap().len(), 3);
    let disabled = Settings {
        master_type: MasterType::Disable,
        masters: vec![],
        ..settings
    };
    assert_eq!(disabled.policies().unwrap(), []);
}

#[test]
fn a_single_master_gets_auth_tries_before_a_round_is_over() {
    let settings = Settings {
        auth_tries: 3,
        master_tries: NonZeroU32::new(1),
        ..Settings::default()
    };
    let mut scene = scene(settings);
    scene.pass(secs(30));
    assert_eq!(scene.asked, [(secs(0), 0), (secs(5), 0), (secs(10), 0)]);
    assert_eq!(scene.exit, Some(Exit::NoMaster));
}

#[test]
fn a_single_name_is_looked_up_again_as_often_as_configured() {
    let mut scene = scene(Settings {
        retry_dns_count: Some(1),
        ..Settings::default()
    });
    scene
        .fail(0, Failure::Unresolved)
        .until_asked(0)
        .fail(0, Failure::Unresolved)
        .pass(secs(10));
    assert_eq!(scene.exit.map(Exit::code), Some(42));
    let told = "Master hostname: 'salt' not found or not responsive. Retrying in 30 seconds";
    assert_eq!(scene.lines().iter().filter(|line| *line == told).count(), 1);
}

#[test]
fn options_that_cannot_be_honoured_are_named() {
    let refused = |settings: Settings| settings.policies().unwrap_err();
    assert_eq!(refused(failover(0)), PolicyError::NoMaster);
    let nameless = Settings {
        masters: vec![" ".to_owned()],
        ..failover(1)
    };
    assert_eq!(refused(nameless), PolicyError::EmptyName);
    let hasty = Settings {
        auth_timeout: secs(0),
        ..failover(1)
    };
    assert_eq!(refused(hasty), PolicyError::NoTimeToAuthenticate);
}

/// Lets the only open attempt come to its deadline after its master has taken the connection.
fn crowd(scene: &mut Scene) {
    let open: Vec<_> = scene.open.keys().copied().collect();
    assert_eq!(open.len(), 1);
    scene.step(Event::Reached { attempt: open[0] });
    scene.pass(scene.settings.auth_timeout);
    assert!(scene.over.contains(&open[0]));
}

/// How long the master is left alone after a crowd.
fn wait_after_crowd(scene: &mut Scene) -> Duration {
    crowd(scene);
    let given_up = scene.now;
    scene.until_asked(0).now - given_up
}

fn fits(wait: Duration, full: u64) {
    assert!(
        secs(full) / 2 <= wait && wait <= secs(full),
        "{wait:?} of {full}"
    );
}

#[test]
fn a_master_that_is_too_busy_is_asked_more_and_more_rarely() {
    let mut scene = scene(failover(1));
    for full in [10, 20, 40, 80, 80] {
        fits(wait_after_crowd(&mut scene), full);
    }
    // One that is gone keeps nobody waiting, and then it begins anew; so it does after a sign-in.
    scene.fail(0, Failure::Unreachable);
    let gone = scene.now;
    assert!(scene.until_asked(0).now - gone <= secs(10));
    fits(wait_after_crowd(&mut scene), 10);
    fits(wait_after_crowd(&mut scene), 20);
    scene.accept(0).disconnect().until_asked(0);
    fits(wait_after_crowd(&mut scene), 10);
}

#[test]
fn a_single_master_that_is_too_busy_is_asked_so_within_a_round_as_well() {
    let mut scene = scene(Settings {
        auth_tries: 3,
        master_type: MasterType::Str,
        ..failover(1)
    });
    for full in [10, 20, 40, 80, 80, 80, 80] {
        fits(wait_after_crowd(&mut scene), full);
    }
}

#[test]
fn a_master_that_is_too_busy_keeps_nobody_from_the_others() {
    let mut scene = scene(Settings {
        // What is not asked is not counted.
        master_tries: NonZeroU32::new(2),
        stagger: secs(3600),
        ..failover(2)
    });
    crowd(&mut scene);
    scene.fail(1, Failure::Unreachable);
    // Longer and longer rests, but none as long as the busy master's.
    for _ in 0..3 {
        let refused = scene.now;
        scene.until_asked(1);
        assert!(scene.now - refused <= secs(10), "{:?}", scene.now - refused);
        if scene.asking() == [1] {
            scene.fail(1, Failure::Unreachable);
        } else {
            break;
        }
    }
    scene.until_asked(1).accept(1);
    assert_eq!(scene.current(), Some(1));
    // What was too busy then is asked at once when this one is lost.
    let lost = scene.now;
    scene.disconnect().until_asked(0);
    assert!(scene.now - lost <= secs(1), "{:?}", scene.now - lost);
}
