//! Ten thousand minions lose a master in the same instant.
//!
//! The survivors answer four hundred sign-ins a second, one after another, as a real master on two
//! cores does. A rate above that would show as a queue, the queue as timeouts, and the timeouts as
//! more sign-ins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use minion::failover::{
    Action, AttemptId, Event, Failure, Machine, MasterType, Moment, Outcome, Policy, Settings,
};

use super::scene::{failover, secs};

const MINIONS: usize = 10_000;
const SERVICE: Duration = Duration::from_micros(2_500);

#[test]
fn a_lost_master_does_not_make_ten_thousand_minions_stampede() {
    let settings = Settings {
        loss_spread: secs(50),
        stagger: secs(2),
        ..failover(3)
    };
    let mut fleet = Fleet::new(&settings);
    fleet.everybody(|attempt| Event::Disconnected { attempt });
    assert_eq!(fleet.connected(), 0, "all have lost their master");
    fleet.run(secs(80));
    assert!(fleet.all_connected_without_a_timeout());
    assert_eq!(fleet.sign_ins(), [(1, MINIONS)], "one each, at the next");
    assert!(
        fleet.peak(1) <= 300,
        "{} sign-ins in a second",
        fleet.peak(1)
    );
}

/// The first burst is lost: nobody has been told how large the fleet is. What must not happen is
/// that everybody asks again before a master has worked off the questions that nobody waits for
/// any more; with a wait of ten seconds at most, three quarters of this fleet have no master after
/// ten minutes.
#[test]
fn ten_thousand_minions_with_salts_own_settings_get_out_of_each_others_way() {
    let settings = failover(3);
    let mut fleet = Fleet::new(&settings);
    fleet.everybody(|attempt| Event::Disconnected { attempt });
    fleet.run(secs(180));
    assert_eq!(fleet.peak(1), MINIONS, "no burst");
    assert!(fleet.given_up > 10_000, "nobody was too many");
    assert_eq!(fleet.connected(), MINIONS);
}

#[test]
fn ten_thousand_minions_survive_the_restart_of_their_only_master() {
    let settings = Settings {
        auth_tries: 7,
        master_type: MasterType::Str,
        ..failover(1)
    };
    let mut fleet = Fleet::new(&settings);
    fleet.down_until = fleet.now + secs(5);
    fleet.everybody(|attempt| Event::Disconnected { attempt });
    fleet.run(secs(180));
    assert!(fleet.given_up > 10_000, "nobody was too many");
    assert_eq!(fleet.connected(), MINIONS);
}

#[test]
fn a_key_rotation_does_not_make_ten_thousand_minions_stampede() {
    let settings = Settings {
        random_reauth_delay: secs(50),
        ..failover(3)
    };
    let mut fleet = Fleet::new(&settings);
    fleet.everybody(|attempt| Event::KeysRefused { attempt });
    assert_eq!(fleet.connected(), MINIONS, "nobody lets go of its master");
    fleet.run(secs(80));
    assert!(fleet.all_connected_without_a_timeout());
    assert_eq!(fleet.sign_ins(), [(0, MINIONS)], "one each, at their own");
    assert!(
        fleet.peak(0) <= 300,
        "{} sign-ins in a second",
        fleet.peak(0)
    );
}

#[test]
fn masters_that_all_come_back_at_once_are_not_asked_in_step() {
    let settings = Settings {
        acceptance_wait_time_max: Some(secs(60)),
        ..failover(1)
    };
    let policy = settings.policies().unwrap().remove(0);
    let mut seconds = BTreeMap::<u64, u32>::new();
    for seed in 0..2_000 {
        for at in asked_by_an_unlucky_minion(policy.clone(), seed, secs(600)) {
            *seconds.entry(at.as_secs()).or_default() += 1;
        }
    }
    let late = seconds.range(300..600).map(|(_, rate)| *rate);
    // 2,000 minions with 45 s between two attempts.
    let (peak, all) = (late.clone().max().unwrap(), late.sum::<u32>());
    assert!(peak <= 90, "{peak} in a second");
    assert!((10_000..=20_000).contains(&all), "{all} in five minutes");
}

fn asked_by_an_unlucky_minion(policy: Policy, seed: u64, until: Duration) -> Vec<Duration> {
    let (mut machine, mut actions) = Machine::start(policy, seed, Moment::default());
    let (mut now, mut asked) = (Duration::ZERO, Vec::new());
    while now < until {
        let mut event = Event::Woke;
        for action in actions {
            match action {
                Action::Authenticate { attempt, .. } => {
                    asked.push(now);
                    let outcome = Outcome::Failed(Failure::Unreachable);
                    event = Event::Answered { attempt, outcome };
                }
                Action::WaitUntil(at) if event == Event::Woke => now = at.since(Moment::default()),
                _ => {}
            }
        }
        (machine, actions) = machine.step(event, Moment::at(now));
    }
    asked
}

/// What comes to a minion.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Coming {
    Answer(AttemptId),
    Refusal(AttemptId),
    Reached(AttemptId),
    Wake,
}

struct Fleet {
    minions: Vec<Option<Machine>>,
    sessions: Vec<Option<AttemptId>>,
    wakes: Vec<Duration>,
    queue: BinaryHeap<Reverse<(Duration, usize, Coming)>>,
    /// Until when every master refuses connections.
    down_until: Duration,
    /// When each master has answered all that it was asked so far.
    busy: BTreeMap<usize, Duration>,
    /// Sign-ins per master and second.
    rates: BTreeMap<(usize, u64), usize>,
    /// Until when each attempt may take.
    deadlines: BTreeMap<(usize, AttemptId), Moment>,
    /// Attempts that a master was too busy for.
    given_up: u32,
    /// What ended without an answer.
    timeouts: BTreeMap<AttemptId, u32>,
    /// What nobody should do here.
    surprises: Vec<Action>,
    now: Duration,
}

impl Fleet {
    /// All of them on the first master.
    fn new(settings: &Settings) -> Self {
        let policy = settings.policies().unwrap().remove(0);
        let mut fleet = Self {
            minions: Vec::new(),
            sessions: vec![None; MINIONS],
            wakes: vec![Duration::ZERO; MINIONS],
            queue: BinaryHeap::new(),
            busy: BTreeMap::new(),
            rates: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            given_up: 0,
            timeouts: BTreeMap::new(),
            surprises: Vec::new(),
            now: secs(0),
            down_until: secs(0),
        };
        for seed in 0..MINIONS {
            let (machine, actions) = Machine::start(
                policy.clone(),
                u64::try_from(seed).unwrap(),
                Moment::default(),
            );
            fleet.minions.push(Some(machine));
            let asked = actions.into_iter().find_map(|action| match action {
                Action::Authenticate { attempt, .. } => Some(attempt),
                _ => None,
            });
            let event = Event::Answered {
                attempt: asked.unwrap(),
                outcome: Outcome::Accepted,
            };
            fleet.step(seed, event);
        }
        fleet.now = secs(100);
        fleet
    }

    fn everybody(&mut self, event: impl Fn(AttemptId) -> Event) {
        for at in 0..MINIONS {
            let event = event(self.sessions[at].unwrap());
            self.step(at, event);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, minion, coming))) = self.queue.pop() {
            if at > end {
                self.queue.push(Reverse((at, minion, coming)));
                break;
            }
            self.now = at;
            match coming {
                Coming::Answer(attempt) => {
                    let outcome = Outcome::Accepted;
                    self.step(minion, Event::Answered { attempt, outcome });
                }
                Coming::Refusal(attempt) => {
                    let outcome = Outcome::Failed(Failure::Unreachable);
                    self.step(minion, Event::Answered { attempt, outcome });
                }
                Coming::Reached(attempt) => self.step(minion, Event::Reached { attempt }),
                Coming::Wake if self.wakes[minion] == at => self.step(minion, Event::Woke),
                Coming::Wake => {}
            }
        }
    }

    fn step(&mut self, minion: usize, event: Event) {
        let machine = self.minions[minion].take().unwrap();
        let (machine, actions) = machine.step(event, Moment::at(self.now));
        self.minions[minion] = Some(machine);
        self.wakes[minion] = Duration::MAX;
        for action in actions {
            self.perform(minion, &action);
        }
    }

    fn perform(&mut self, minion: usize, action: &Action) {
        match *action {
            Action::Authenticate {
                attempt,
                master,
                deadline,
            } => {
                self.deadlines.insert((minion, attempt), deadline);
                *self
                    .rates
                    .entry((master.index(), self.now.as_secs()))
                    .or_default() += 1;
                if self.now < self.down_until {
                    let refused = Coming::Refusal(attempt);
                    self.queue.push(Reverse((self.now, minion, refused)));
                    return;
                }
                self.queue
                    .push(Reverse((self.now, minion, Coming::Reached(attempt))));
                let busy = self.busy.entry(master.index()).or_default();
                *busy = (*busy).max(self.now) + SERVICE;
                self.queue
                    .push(Reverse((*busy, minion, Coming::Answer(attempt))));
            }
            Action::Close(attempt) if self.sessions[minion] == Some(attempt) => {
                self.sessions[minion] = None;
            }
            Action::Close(attempt) => {
                // The old session of a renewal is closed after the switch; anything else was not
                // answered in time.
                let renewed = self.sessions[minion].is_some_and(|session| session > attempt);
                if !renewed {
                    *self.timeouts.entry(attempt).or_default() += 1;
                }
                let deadline = self.deadlines.get(&(minion, attempt));
                if deadline.is_some_and(|deadline| *deadline <= Moment::at(self.now)) {
                    self.given_up += 1;
                }
            }
            Action::Switch { attempt, .. } => self.sessions[minion] = Some(attempt),
            Action::WaitUntil(at) => {
                self.wakes[minion] = at.since(Moment::default());
                self.queue
                    .push(Reverse((self.wakes[minion], minion, Coming::Wake)));
            }
            Action::GiveUp(_) | Action::Probe { .. } => self.surprises.push(action.clone()),
            Action::Report(_) => {}
        }
    }

    fn all_connected_without_a_timeout(&self) -> bool {
        self.timeouts.is_empty()
            && self.surprises.is_empty()
            && self.sessions.iter().all(Option::is_some)
    }

    fn connected(&self) -> usize {
        let sessions = self.sessions.iter();
        sessions.filter(|session| session.is_some()).count()
    }

    /// How many sign-ins each master got since the fleet was complete.
    fn sign_ins(&self) -> Vec<(usize, usize)> {
        let mut all = BTreeMap::<usize, usize>::new();
        for ((master, _), rate) in &self.rates {
            *all.entry(*master).or_default() += rate;
        }
        all.into_iter().collect()
    }

    fn peak(&self, master: usize) -> usize {
        let of = self.rates.iter().filter(|((at, _), _)| *at == master);
        of.map(|(_, rate)| *rate).max().unwrap_or_default()
    }
}
