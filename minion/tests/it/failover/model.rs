//! Random histories beside the naive model of `scene`, which panics at every step that makes no
//! sense.

use std::cell::RefCell;
use std::ops::Range;

use minion::failover::{
    Event, Evidence, Exit, Failure, MasterType, Outcome, PendingRule, Reason, Settings,
};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

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
            retry_dns_count: (tries % 2 == 1).then_some(tries / 2),
            stagger: millis(stagger),
            ..failover(if one { 1 } else { count })
        }
    }
}

/// What happened in all histories together: a property of what never happens holds too easily.
#[derive(Debug, Default)]
struct Seen {
    exits: [usize; 4],
    late_answers: usize,
    losses: usize,
    probes_answered: usize,
    probes_unanswered: usize,
    switches: [usize; 4],
    without_a_master: usize,
}

impl Seen {
    fn count(&mut self, scene: &Scene) {
        let exits = [
            Exit::NoMaster,
            Exit::NoPermission,
            Exit::Unresolved,
            Exit::Untrusted,
        ];
        for (count, exit) in self.exits.iter_mut().zip(exits) {
            *count += usize::from(scene.exit == Some(exit));
        }
        let reasons = [
            Reason::Failback,
            Reason::Lost,
            Reason::Renewed,
            Reason::Started,
        ];
        for (count, reason) in self.switches.iter_mut().zip(reasons) {
            let switches = scene.switches.iter();
            *count += switches.filter(|(_, why)| *why == reason).count();
        }
        self.without_a_master += usize::from(scene.current().is_none());
    }
}

fn perform(scene: &mut Scene, deed: &Deed, seen: &mut Seen) {
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
                seen.late_answers += 1;
            }
        }
        Deed::AnswerProbe => {
            seen.probes_answered += usize::from(scene.answer_probe());
        }
        Deed::Disconnect if scene.session.is_some() => {
            let lost = scene.current();
            scene.disconnect();
            assert!(seeks_another(scene, lost), "a loss led nowhere");
            seen.losses += 1;
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
                let asked = (scene.current(), scene.probe);
                scene.now = at;
                scene.step(Event::Woke);
                let lost = asked.0.is_some() && scene.current().is_none();
                seen.probes_unanswered += usize::from(lost && asked.1.is_some());
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

#[test]
fn no_history_confuses_the_machine() {
    let seen = histories(1..120, |settings, seed, deeds, seen| {
        let mut scene = Scene::new(settings.clone(), seed);
        let mut again = Scene::new(settings, seed);
        for deed in deeds {
            perform(&mut scene, deed, seen);
        }
        for deed in deeds {
            perform(&mut again, deed, &mut Seen::default());
        }
        seen.count(&scene);
        prop_assert_eq!(&scene.log, &again.log, "equal inputs, other outputs");
        prop_assert_eq!(scene.machine, again.machine);
        Ok(())
    });
    let rare = seen.exits.into_iter().chain(seen.switches).min();
    let common = [
        seen.late_answers,
        seen.losses,
        seen.probes_answered,
        seen.probes_unanswered,
    ];
    let enough = rare >= Some(5) && common.into_iter().min() >= Some(100);
    assert!(enough, "hardly anything was tried: {seen:?}");
}

#[test]
fn whatever_has_happened_a_master_that_accepts_is_found() {
    let seen = histories(1..60, |settings, seed, deeds, seen| {
        let settings = Settings {
            master_tries: None,
            rejected_retry: true,
            retry_dns_count: None,
            ..settings
        };
        let mut scene = Scene::new(settings, seed);
        for deed in deeds {
            perform(&mut scene, deed, seen);
        }
        seen.count(&scene);
        let accept = |scene: &mut Scene| {
            scene.answer_probe();
            while let Some(at) = scene.asking().first().copied() {
                scene.accept(at);
            }
        };
        accept(&mut scene);
        scene.pass_with(secs(120), accept);
        prop_assert!(scene.current().is_some());
        Ok(())
    });
    let [no_master, no_permission, unresolved, untrusted] = seen.exits;
    assert_eq!(no_master + no_permission + unresolved + untrusted, 0);
    assert!(
        seen.without_a_master >= 300,
        "all were found at once: {seen:?}"
    );
}

/// Tries two thousand random histories of so many deeds, and tells what happened in them.
fn histories(
    length: Range<usize>,
    check: impl Fn(Settings, u64, &[Deed], &mut Seen) -> Result<(), TestCaseError>,
) -> Seen {
    let seen = RefCell::new(Seen::default());
    // By the file's name it finds the histories that failed once.
    let mut runner = TestRunner::new(ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(2_000)
    });
    let any = (
        settings(),
        any::<u64>(),
        prop::collection::vec(deed(), length),
    );
    let tried = runner.run(&any, |(settings, seed, deeds)| {
        check(settings, seed, &deeds, &mut seen.borrow_mut())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
    seen.into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

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
