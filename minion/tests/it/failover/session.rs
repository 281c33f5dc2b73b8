//! Life with a master, and its loss, case by case.

use std::num::NonZeroU32;

use minion::failover::{
    Event, Evidence, Failure, Level, MasterType, Moment, Outcome, PendingRule, Reason, Settings,
};

use super::scene::{Scene, failover, millis, secs};

const REJECTED: Failure = Failure::Rejected(Evidence::Verified);

fn scene(settings: Settings) -> Scene {
    Scene::new(settings, 1)
}

#[test]
fn a_failover_is_logged_in_the_words_of_the_tutorial() {
    let mut scene = scene(failover(3));
    scene.accept(0).reports.clear();
    scene.pass(secs(100)).disconnect().accept(1);
    let lines = [
        "Connection to master 172.16.0.10 lost",
        "Trying to tune in to next master from master-list",
        "Removing possibly failed master 172.16.0.10 from list of masters",
        "Master ip address changed from 172.16.0.10 to 172.16.0.11",
        "Attempting to authenticate with the Salt Master at 172.16.0.11",
        "Authentication with master successful!",
    ];
    assert_eq!(scene.lines(), lines);
    let levels: Vec<_> = scene.reports.iter().map(|report| report.level()).collect();
    let info = Level::Info;
    assert_eq!(
        levels,
        [info, info, info, Level::Warning, Level::Debug, info]
    );
    assert_eq!(scene.switches.last(), Some(&(1, Reason::Lost)));
}

#[test]
fn several_dead_masters_cost_a_moment_each() {
    let mut scene = scene(failover(4));
    scene
        .accept(0)
        .pass(secs(90))
        .disconnect()
        .pass(millis(1_000));
    assert_eq!(scene.asking(), [1, 2, 3]);
    scene.accept(3);
    assert_eq!(scene.now, secs(91));
}

#[test]
fn after_a_loss_a_large_fleet_takes_its_time() {
    let mut scene = scene(Settings {
        loss_spread: secs(25),
        ..failover(2)
    });
    scene.accept(0).pass(secs(90)).disconnect();
    assert!(scene.asking().is_empty());
    scene.until_asked(1);
    assert!(secs(90) < scene.now && scene.now <= secs(115));
}

#[test]
fn an_answer_after_its_deadline_moves_nobody() {
    let mut scene = scene(failover(2));
    scene.pass(secs(5)).accept(1);
    let before = scene.machine.clone();
    let late = scene.over[0];
    for event in [
        Event::Answered {
            attempt: late,
            outcome: Outcome::Accepted,
        },
        Event::Disconnected { attempt: late },
        Event::KeysRefused { attempt: late },
    ] {
        scene.step(event);
        assert_eq!(scene.machine, before);
    }
}

#[test]
fn a_hung_master_is_lost_within_the_interval_and_a_second() {
    let interval = Some(secs(5));
    let mut scene = scene(Settings {
        master_alive_interval: interval,
        ..failover(2)
    });
    scene
        .accept(0)
        .pass_with(secs(60), |scene| assert!(scene.answer_probe()));
    assert_eq!(scene.current(), Some(0));
    scene.pass(secs(6));
    assert_eq!((scene.current(), scene.asking()), (None, vec![1]));
}

#[test]
fn without_an_interval_nothing_is_probed() {
    let mut scene = scene(failover(2));
    scene.accept(0).pass(secs(86_400));
    assert_eq!((scene.current(), scene.probe), (Some(0), None));
}

#[test]
fn a_lost_master_is_asked_last() {
    let mut scene = scene(failover(3));
    scene.accept(0).pass(secs(90)).disconnect();
    scene
        .fail(1, Failure::Unreachable)
        .fail(2, Failure::Unreachable)
        .pass(secs(1))
        .accept(0);
    assert_eq!(scene.switches.last(), Some(&(0, Reason::Lost)));
}

#[test]
fn failback_keeps_the_current_master_until_the_first_accepts() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(10)),
        ..failover(3)
    });
    scene
        .accept(0)
        .pass(secs(90))
        .disconnect()
        .accept(1)
        .pass(secs(15));
    assert_eq!((scene.current(), scene.asking()), (Some(1), vec![0]));
    scene.fail(0, Failure::Unreachable).pass(secs(15)).accept(0);
    assert_eq!(scene.switches.last(), Some(&(0, Reason::Failback)));
}

#[test]
fn a_failback_under_way_goes_on_when_the_current_master_is_lost() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(10)),
        ..failover(2)
    });
    scene
        .fail(0, Failure::Unreachable)
        .accept(1)
        .pass(secs(15))
        .disconnect();
    assert_eq!(scene.asking(), [0]);
    scene.accept(0);
    assert_eq!(scene.current(), Some(0));
}

#[test]
fn a_failback_that_was_taken_and_not_answered_is_a_crowd_as_well() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(10)),
        ..failover(2)
    });
    scene.fail(0, Failure::Unreachable).accept(1).pass(secs(15));
    let attempt = scene.open.iter().find(|(_, at)| **at == 0);
    let attempt = *attempt.unwrap().0;
    scene.step(Event::Reached { attempt });
    scene.disconnect();
    scene.pass_with(secs(60), |scene| {
        while scene.asking().contains(&1) {
            scene.fail(1, Failure::Unreachable);
        }
    });
    let asked = scene.asked.iter().filter(|(_, at)| *at == 0);
    let times: Vec<_> = asked.map(|(time, _)| *time).collect();
    // The first one at the start, then the failback, and then not before its time and half of ten
    // seconds.
    let wait = times[2] - times[1];
    assert!(wait >= scene.settings.auth_timeout + secs(5), "{wait:?}");
}

#[test]
fn a_flapping_first_master_is_gone_back_to_ever_more_rarely() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(10)),
        ..failover(2)
    });
    scene.accept(0);
    for _ in 0..8 {
        scene.pass(secs(1)).disconnect().accept(1);
        scene.until_asked(0).accept(0);
    }
    let back = scene.asked.iter().filter(|(_, at)| *at == 0).count();
    assert_eq!(scene.switches.len(), 2 * back - 1);
    let spans: Vec<_> = scene
        .asked
        .windows(2)
        .filter(|pair| pair[1].1 == 0)
        .collect();
    let first = spans[0][1].0 - spans[0][0].0;
    let last = spans[7][1].0 - spans[7][0].0;
    assert!(
        first <= secs(15) && last >= secs(320),
        "{first:?} then {last:?}"
    );
}

#[test]
fn a_flapping_only_master_is_left_alone_for_longer_and_longer() {
    let mut scene = scene(failover(1));
    for _ in 0..20 {
        scene.accept(0).disconnect().until_asked(0);
    }
    let gap = scene.asked[20].0 - scene.asked[19].0;
    assert!(secs(5) <= gap && gap <= secs(10), "{gap:?}");
}

#[test]
fn a_key_rotation_renews_beside_the_session() {
    let mut scene = scene(failover(2));
    scene.accept(0).pass(secs(90)).refuse_keys().refuse_keys();
    assert_eq!((scene.current(), scene.asking()), (Some(0), vec![]));
    scene.pass(secs(10)).accept(0);
    assert_eq!(scene.switches, [(0, Reason::Started), (0, Reason::Renewed)]);
}

#[test]
fn a_key_deleted_at_the_master_makes_the_minion_pending_again() {
    let mut scene = scene(failover(2));
    scene
        .accept(0)
        .refuse_keys()
        .pass(secs(10))
        .answer(0, Outcome::Pending);
    assert_eq!(scene.current(), None);
    scene.pass(secs(10)).accept(0);
    assert_eq!(scene.switches.last(), Some(&(0, Reason::Lost)));
}

#[test]
fn a_renewal_that_fails_is_a_loss() {
    for failure in [REJECTED, Failure::BadSignature, Failure::NoAnswer] {
        let mut scene = scene(failover(2));
        scene
            .accept(0)
            .refuse_keys()
            .pass(secs(10))
            .fail(0, failure);
        assert_eq!(
            (scene.current(), scene.asking()),
            (None, vec![1]),
            "{failure:?}"
        );
    }
}

#[test]
fn random_master_with_failback_keeps_the_first_entry() {
    let shuffled = |failback: bool| {
        let firsts = (0..64).map(|seed| {
            let settings = Settings {
                random_master: true,
                master_failback: failback,
                master_failback_interval: Some(secs(10)),
                ..failover(4)
            };
            let mut scene = Scene::new(settings, seed);
            scene.pass(secs(2));
            (scene.asked[0].1, scene.asked[1].1)
        });
        firsts.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(shuffled(true), [(0, 1), (0, 2), (0, 3)].into());
    assert_eq!(shuffled(false).len(), 12);
}

#[test]
fn a_clock_that_steps_back_delays_nothing() {
    let mut scene = scene(failover(2));
    scene.pass(secs(2)).accept(1);
    let (machine, _) = scene.machine.clone().step(Event::Woke, Moment::default());
    assert_eq!(machine, scene.machine);
}

#[test]
fn after_a_failback_the_configured_order_holds_again() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(10)),
        ..failover(3)
    });
    scene
        .accept(0)
        .pass(secs(90))
        .disconnect()
        .accept(1)
        .disconnect()
        .accept(2);
    scene.until_asked(0).accept(0).pass(secs(90)).disconnect();
    assert_eq!(scene.asking(), [1]);
}

#[test]
fn a_key_deleted_at_the_master_sends_the_minion_on_if_told_to() {
    let mut scene = scene(Settings {
        pending: PendingRule::MoveOn,
        ..failover(2)
    });
    scene
        .accept(0)
        .refuse_keys()
        .until_asked(0)
        .answer(0, Outcome::Pending);
    assert_eq!(scene.asking(), [1]);
    scene.fail(1, Failure::Full);
    assert!(
        scene
            .lines()
            .last()
            .unwrap()
            .contains("has cached the public key")
    );
    assert!(scene.asking().is_empty());
}

#[test]
fn keys_refused_during_a_renewal_do_not_ask_for_another() {
    let mut scene = scene(failover(2));
    scene
        .accept(0)
        .refuse_keys()
        .until_asked(0)
        .refuse_keys()
        .accept(0)
        .pass(secs(60));
    assert_eq!(scene.asked.len(), 2);
}

#[test]
fn a_renewal_does_not_end_the_wish_to_go_back() {
    let mut scene = scene(Settings {
        master_failback: true,
        master_failback_interval: Some(secs(20)),
        ..failover(2)
    });
    scene
        .fail(0, Failure::Unreachable)
        .accept(1)
        .refuse_keys()
        .until_asked(1)
        .accept(1);
    scene.until_asked(0).accept(0);
    assert_eq!(scene.switches.last(), Some(&(0, Reason::Failback)));
}

#[test]
fn only_rounds_in_a_row_count_for_master_tries() {
    let mut scene = scene(Settings {
        master_tries: NonZeroU32::new(2),
        ..failover(1)
    });
    for outcome in [Outcome::Accepted, Outcome::Pending] {
        scene
            .fail(0, Failure::Full)
            .until_asked(0)
            .answer(0, outcome);
        if outcome == Outcome::Accepted {
            scene.disconnect();
        }
        scene.until_asked(0);
    }
    scene.fail(0, Failure::Full).until_asked(0);
    assert_eq!(scene.exit, None);
}

#[test]
fn a_session_makes_every_wait_short_again() {
    let mut scene = scene(Settings {
        acceptance_wait_time_max: Some(secs(80)),
        retry_dns_count: Some(1),
        master_type: MasterType::Str,
        ..failover(1)
    });
    for _ in 0..2 {
        scene.fail(0, Failure::Unresolved).until_asked(0);
        for _ in 0..4 {
            scene.fail(0, Failure::Full).until_asked(0);
        }
        scene.answer(0, Outcome::Pending);
        assert!(
            scene
                .lines()
                .last()
                .unwrap()
                .contains("will wait for 10 seconds")
        );
        scene.until_asked(0).fail(0, Failure::Full);
        assert!(scene.wake.unwrap() - scene.now <= secs(1));
        scene
            .until_asked(0)
            .fail(0, Failure::Unresolved)
            .until_asked(0)
            .accept(0);
        scene.pass(secs(90)).disconnect().until_asked(0);
    }
    scene
        .accept(0)
        .pass(secs(90))
        .disconnect()
        .until_asked(0)
        .fail(0, Failure::Full);
    assert!(scene.wake.unwrap() - scene.now <= secs(1));
}

#[test]
fn minions_that_give_up_do_not_restart_in_step() {
    let ends = (0..50).map(|seed| {
        let settings = Settings {
            master_tries: NonZeroU32::new(1),
            ..failover(1)
        };
        let mut scene = Scene::new(settings, seed);
        scene.fail(0, Failure::Full);
        scene.wake.unwrap().as_secs()
    });
    assert_eq!(ends.collect::<std::collections::BTreeSet<_>>().len(), 10);
}
