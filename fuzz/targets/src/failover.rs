//! Any history of events.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use minion::failover::{
    Action, Event, Evidence, Failure, Machine, MasterType, Moment, Outcome, PendingRule, Settings,
};

/// A machine asks for what makes sense whatever happens to it: deadlines lie ahead, a switch
/// follows an acceptance, and after the end there is nothing.
///
/// The first eight bytes are the settings, then each two are an event.
pub fn run(input: &[u8]) {
    let Some((settings, events)) = input.split_first_chunk::<8>() else {
        return;
    };
    let seed = u64::from_le_bytes(*settings);
    let Ok(policies) = settings_of(*settings).policies() else {
        return;
    };
    for policy in policies {
        let mut world = World::default();
        let (mut machine, actions) = Machine::start(policy, seed, Moment::at(world.now));
        world.take(&actions);
        for event in events.chunks_exact(2) {
            let [what, which] = event else { continue };
            let Some(event) = world.event(*what, *which) else {
                continue;
            };
            let ended = machine.exit().is_some();
            let (next, actions) = machine.step(event, Moment::at(world.now));
            machine = next;
            assert!(!ended || actions.is_empty(), "{actions:?} after the end");
            world.take(&actions);
        }
    }
}

/// Histories that get somewhere: sign-ins, losses, probes, all with time passing.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let settings: [[u8; 8]; 3] = [
        [3, 10, 10, 0, 0, 5, 0, 0],
        [4, 2, 0, 3, 0b1111, 1, 20, 5],
        [1, 30, 5, 1, 0b0100, 0, 0, 0],
    ];
    let histories: [&[u8]; 4] = [
        &[0, 0, 6, 0, 8, 0, 6, 0, 7, 0, 0, 1, 6, 0, 9, 0],
        &[1, 0, 6, 9, 2, 0, 6, 0, 3, 0, 6, 0, 0, 0, 10, 0, 0, 0, 7, 0],
        &[4, 0, 5, 0, 6, 0, 6, 0, 6, 0, 0, 0, 6, 0, 6, 0, 6, 0],
        &[
            6, 0, 6, 0, 6, 0, 6, 0, 11, 255, 6, 0, 0, 3, 8, 0, 6, 0, 8, 0,
        ],
    ];
    let pairs = settings
        .iter()
        .flat_map(|settings| histories.map(|history| [settings.as_slice(), history].concat()));
    pairs.collect()
}

fn settings_of(bytes: [u8; 8]) -> Settings {
    let [
        count,
        alive,
        failback,
        tries,
        switches,
        stagger,
        spread,
        wait,
    ] = bytes;
    let on = |bit: u8| switches & (1 << bit) != 0;
    let seconds = |number: u8| Duration::from_secs(number.into());
    let some = |number: u8| (number > 0).then(|| seconds(number));
    Settings {
        acceptance_wait_time_max: some(wait),
        auth_safemode: on(0),
        loss_spread: seconds(spread),
        master_alive_interval: some(alive),
        master_failback: failback > 0,
        master_failback_interval: some(failback),
        master_tries: NonZeroU32::new(tries.into()),
        master_type: if on(1) {
            MasterType::Str
        } else {
            MasterType::Failover
        },
        masters: (0..=count & 7).map(|number| format!("m{number}")).collect(),
        pending: if on(2) {
            PendingRule::MoveOn
        } else {
            PendingRule::Stay
        },
        random_master: on(3),
        rejected_retry: on(4),
        retry_dns: on(5).then(|| seconds(1)),
        stagger: Duration::from_millis(u64::from(stagger).saturating_mul(100)),
        ..Settings::default()
    }
}

/// What the agent would know.
#[derive(Default)]
struct World {
    now: Duration,
    wake: Option<Moment>,
    open: Vec<minion::failover::AttemptId>,
    accepted: BTreeSet<minion::failover::AttemptId>,
    session: Option<minion::failover::AttemptId>,
    probes: Vec<minion::failover::ProbeId>,
}

impl World {
    fn take(&mut self, actions: &[Action]) {
        let now = Moment::at(self.now);
        for (index, action) in actions.iter().enumerate() {
            match action {
                Action::Authenticate {
                    attempt, deadline, ..
                } => {
                    assert!(*deadline >= now, "a deadline that has passed");
                    assert!(!self.open.contains(attempt), "an attempt that is open");
                    self.open.push(*attempt);
                }
                Action::Close(attempt) => {
                    self.open.retain(|open| open != attempt);
                    if self.session == Some(*attempt) {
                        self.session = None;
                    }
                }
                Action::GiveUp(_) => {
                    assert_eq!(
                        index.saturating_add(1),
                        actions.len(),
                        "something follows the end"
                    );
                }
                Action::Probe {
                    probe,
                    attempt,
                    deadline,
                } => {
                    assert!(*deadline >= now, "a deadline that has passed");
                    assert!(self.accepted.contains(attempt), "a probe without a session");
                    self.probes.push(*probe);
                }
                Action::Report(_) => {}
                Action::Switch { attempt, .. } => {
                    assert!(
                        self.accepted.contains(attempt),
                        "a switch to who did not accept"
                    );
                    self.session = Some(*attempt);
                }
                Action::WaitUntil(moment) => {
                    assert_eq!(
                        index.saturating_add(1),
                        actions.len(),
                        "something follows the wait"
                    );
                    self.wake = Some(*moment);
                }
            }
        }
    }

    /// Outcomes for open attempts, losses and answers, and time; `which` chooses among several.
    fn event(&mut self, what: u8, which: u8) -> Option<Event> {
        let pick = |count: usize| usize::from(which).checked_rem(count);
        let failure = |outcome| Some(Outcome::Failed(outcome));
        let outcome = match what & 15 {
            0 => Some(Outcome::Accepted),
            1 => Some(Outcome::Pending),
            2 => failure(Failure::BadSignature),
            3 => failure(Failure::NoAnswer),
            4 => failure(Failure::Rejected(Evidence::Verified)),
            5 => failure(Failure::Rejected(Evidence::Hint)),
            12 => failure(Failure::Unresolved),
            13 => failure(Failure::Full),
            _ => None,
        };
        if let Some(outcome) = outcome {
            let attempt = *self.open.get(pick(self.open.len())?)?;
            self.open.retain(|open| *open != attempt);
            if outcome == Outcome::Accepted {
                self.accepted.insert(attempt);
            }
            return Some(Event::Answered { attempt, outcome });
        }
        match what & 15 {
            6 => {
                // The moment that was asked for, or a little late.
                let wait = self.wake.take()?.since(Moment::at(Duration::ZERO));
                self.now = self
                    .now
                    .max(wait)
                    .saturating_add(Duration::from_millis(which.into()));
                Some(Event::Woke)
            }
            7 => Some(Event::Disconnected {
                attempt: self.session?,
            }),
            8 => {
                let probe = *self.probes.get(pick(self.probes.len())?)?;
                Some(Event::ProbeAnswered { probe })
            }
            9 => Some(Event::KeysRefused {
                attempt: self.session?,
            }),
            10 => {
                let accepted: Vec<_> = self.accepted.iter().collect();
                let attempt = **accepted.get(pick(accepted.len())?)?;
                Some(Event::Disconnected { attempt })
            }
            11 => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_millis(u64::from(which) << 6));
                None
            }
            14 => {
                let attempt = *self.open.get(pick(self.open.len())?)?;
                Some(Event::Reached { attempt })
            }
            _ => Some(Event::Woke),
        }
    }
}
