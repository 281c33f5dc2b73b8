//! Random histories beside the naive model of `scene`, which panics at every step that makes no
//! sense.

use minion::failover::{Event, Evidence, Failure, MasterType, Outcome, PendingRule, Settings};
use proptest::prelude::*;

use super::scene::{Scene, failover, millis, secs};

/// Something that the world does.
#[derive(Clone, Debug)]
enum Deed {
    Answer(usize, Outcome),
    AnswerLate(usize, Outcome),
    AnswerProbe,
    Disconnect,
    Pass(u64),
    Reach(usize),
    RefuseKeys,
    Wake,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let failure = prop::sample::select(vec![
        Failure::BadSignature,
        Failure::Full,
        Failure::NoAnswer,
        Failure::Rejected(Evidence::Hint),
        Failure::Rejected(Evidence::Verified),
        Failure::Unreachable,
        Failure::Unresolved,
    ]);
    prop_oneof![
        3 => Just(Outcome::Accepted),
        4 => failure.prop_map(Outcome::Failed),
        1 => Just(Outcome::Pending),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0_usize..8, outcome()).prop_map(|(which, out)| Deed::Answer(which, out)),
        1 => (0_usize..8, outcome()).prop_map(|(which, out)| Deed::AnswerLate(which, out)),
        3 => Just(Deed::AnswerProbe),
        2 => Just(Deed::Disconnect),
        3 => (0_u64..20_000).prop_map(Deed::Pass),
        4 => (0_usize..8).prop_map(Deed::Reach),
        1 => Just(Deed::RefuseKeys),
        6 => Just(Deed::Wake),
    ]
}

prop_compose! {
    fn settings()(
        count in 1_usize..5,
        alive in prop::option::of(1_u64..40),
        failback in prop::option::of(1_u64..40),
        spread in prop::sample::select(vec![0_u64, 25]),
        stagger in 0_u64..2_000,
        tries in 0_u32..5,
        switches in prop::array::uniform5(any::<bool>()),
        wait_max in prop::option::of(1_u64..60),
    ) -> Settings {
        let [random_master, rejected_retry, auth_safemode, move_on, one] = switches;
        Settings {
            acceptance_wait_time_max: wait_max.map(secs),
            auth_safemode,
            loss_spread: secs(spread),
            master_alive_interval: alive.map(secs),
            master_failback: failback.is_some(),
            master_failback_interval: failback.map(secs),
            master_tries: std::num::NonZeroU32::new(tries),
            master_type: if one { MasterType::Str } else { MasterType::Failover },
            pending: if move_on { PendingRule::MoveOn } else { PendingRule::Stay },
            random_master,
            rejected_retry,
            stagger: millis(stagger),
            ..failover(if one { 1 } else { count })
        }
    }
}

fn perform(scene: &mut Scene, deed: &Deed) {
    match *deed {
        Deed::Answer(which, outcome) => {
            let open: Vec<_> = scene.open.keys().copied().collect();
            if !open.is_empty() {
                scene.end(open[which % open.len()], outcome);
            }
        }
        Deed::AnswerLate(which, outcome) => {
            if !scene.over.is_empty() {
                let attempt = scene.over[which % scene.over.len()];
                scene.step(Event::Woke);
                let before = scene.machine.clone();
                scene.step(Event::Answered { attempt, outcome });
                assert_eq!(scene.machine, before, "a late answer moved the minion");
            }
        }
        Deed::AnswerProbe => {
            scene.answer_probe();
        }
        Deed::Disconnect if scene.session.is_some() => {
            let lost = scene.current();
            scene.disconnect();
            assert!(seeks_another(scene, lost), "a loss led nowhere");
        }
        Deed::Reach(which) => {
            let open: Vec<_> = scene.open.keys().copied().collect();
            if !open.is_empty() {
                let attempt = open[which % open.len()];
                scene.step(Event::Reached { attempt });
            }
        }
        Deed::RefuseKeys if scene.session.is_some() => {
            scene.refuse_keys();
        }
        Deed::Disconnect | Deed::RefuseKeys => {}
        Deed::Pass(time) => {
            scene.pass(millis(time));
        }
        Deed::Wake => {
            if let Some(at) = scene.wake {
                scene.now = at;
                scene.step(Event::Woke);
            }
        }
    }
}

/// Whether an attempt at another master follows a loss within the spread and the longest hold.
/// Looks ahead on a copy.
fn seeks_another(scene: &Scene, lost: Option<usize>) -> bool {
    let several = scene.settings.masters.len() > 1;
    let hold = scene
        .settings
        .acceptance_wait_time_max
        .unwrap_or_default()
        .max(secs(10));
    let end = scene.now + scene.settings.loss_spread + hold;
    let other = |at: usize| !several || Some(at) != lost;
    if scene.asking().into_iter().any(other) {
        return true;
    }
    let mut machine = scene.machine.clone();
    let mut wake = scene.wake;
    while let Some(at) = wake.filter(|at| *at <= end) {
        let moment = minion::failover::Moment::at(at);
        let (next, actions) = machine.step(Event::Woke, moment);
        machine = next;
        wake = None;
        for action in actions {
            match action {
                minion::failover::Action::Authenticate { master, .. } if other(master.index()) => {
                    return true;
                }
                minion::failover::Action::WaitUntil(moment) => {
                    wake = Some(moment.since(minion::failover::Moment::default()));
                }
                _ => {}
            }
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_history_confuses_the_machine(
        settings in settings(), seed: u64, deeds in prop::collection::vec(deed(), 1..120),
    ) {
        let mut scene = Scene::new(settings.clone(), seed);
        let mut again = Scene::new(settings, seed);
        for deed in &deeds {
            perform(&mut scene, deed);
        }
        for deed in &deeds {
            perform(&mut again, deed);
        }
        prop_assert_eq!(&scene.log, &again.log, "equal inputs, other outputs");
        prop_assert_eq!(scene.machine, again.machine);
    }

    #[test]
    fn whatever_has_happened_a_master_that_accepts_is_found(
        settings in settings(), seed: u64, deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let settings = Settings { master_tries: None, rejected_retry: true, ..settings };
        let mut scene = Scene::new(settings, seed);
        for deed in &deeds {
            perform(&mut scene, deed);
        }
        let accept = |scene: &mut Scene| {
            scene.answer_probe();
            while let Some(at) = scene.asking().first().copied() {
                scene.accept(at);
            }
        };
        accept(&mut scene);
        scene.pass_with(secs(120), accept);
        prop_assert!(scene.current().is_some());
    }

    #[test]
    fn a_master_that_hangs_is_left_within_the_interval_and_a_second(
        alive in 1_u64..120, patience in 1_u64..60, hangs in 0_u64..500_000, lag in 0_u64..400,
    ) {
        let mut scene = Scene::new(Settings {
            auth_timeout: secs(patience),
            master_alive_interval: Some(secs(alive)),
            ..failover(2)
        }, 0);
        scene.accept(0);
        let hangs = millis(hangs);
        let mut answer = None;
        while scene.now < hangs {
            let wake = scene.wake.into_iter().chain(answer).min().unwrap_or(hangs);
            if wake >= hangs {
                break;
            }
            scene.now = wake;
            if answer.take_if(|at| *at <= wake).is_some() {
                scene.answer_probe();
            } else {
                scene.step(Event::Woke);
            }
            if scene.probe.is_some() && answer.is_none() {
                answer = Some(scene.now + millis(lag));
            }
        }
        prop_assert_eq!(scene.current(), Some(0));
        scene.now = hangs;
        scene.pass(secs(alive + 1));
        prop_assert_eq!(scene.current(), None);
        prop_assert!(scene.asked.iter().any(|(_, at)| *at == 1));
    }
}
