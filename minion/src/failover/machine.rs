//! The step: first the event, then everything that is due.
//!
//! The event goes first so that an answer that is in hand counts, also when a busy host delivers it
//! together with its own deadline. Timers are handled on every event, not only on `Woke`: a late
//! wake-up delays nothing.

use std::time::Duration;

use super::action::{Action, Exit, Reason};
use super::backoff::Random;
use super::candidate::Candidates;
use super::event::{AttemptId, Event, Outcome};
use super::moment::Moment;
use super::policy::{Policy, Position};
use super::report::Report;
use super::state::{Attempt, Phase, Search};

/// One minion's choice of a master.
///
/// ```
/// use std::time::Duration;
/// use minion::failover::{Action, Event, Machine, MasterType, Moment, Outcome, Settings};
///
/// let policy = Settings {
///     masters: vec!["172.16.0.10".into(), "172.16.0.11".into()],
///     master_type: MasterType::Failover,
///     ..Settings::default()
/// }.policies()?.remove(0);
/// let (machine, actions) = Machine::start(policy, 1, Moment::default());
/// let attempt = actions.iter().find_map(|action| match action {
///     Action::Authenticate { attempt, .. } => Some(*attempt),
///     _ => None,
/// }).ok_or("an attempt")?;
/// let accepted = Event::Answered { attempt, outcome: Outcome::Accepted };
/// let (machine, actions) = machine.step(accepted, Moment::at(Duration::from_millis(8)));
/// assert!(matches!(actions.as_slice(), [Action::Report(_), Action::Switch { .. }]));
/// assert_eq!(machine.current().map(|master| master.index()), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    pub(super) policy: Policy,
    pub(super) candidates: Candidates,
    pub(super) random: Random,
    /// The latest moment seen; time does not run backwards.
    pub(super) now: Moment,
    /// The next attempt's or probe's name.
    next_id: u64,
    /// The master that was asked last, for the line about its change.
    pub(super) last: Option<Position>,
    /// How often a pending master was asked in a row.
    pub(super) asks: u32,
    /// Rounds that failed in a row: how long the next rest is.
    pub(super) rests: u32,
    /// Rounds that count for `master_tries`.
    pub(super) rounds: u32,
    /// Look-ups that failed in a row.
    pub(super) unresolved: u32,
    pub(super) phase: Phase,
}

impl Machine {
    /// Begins to look for a master. The seed is all the randomness there will be: equal inputs give
    /// equal outputs.
    #[must_use]
    pub fn start(policy: Policy, seed: u64, now: Moment) -> (Self, Vec<Action>) {
        let mut random = Random::new(seed);
        let machine = Self {
            candidates: Candidates::new(&policy, &mut random),
            policy,
            random,
            now,
            next_id: 0,
            last: None,
            asks: 0,
            rests: 0,
            rounds: 0,
            unresolved: 0,
            phase: Phase::Seeking(Search {
                attempts: Vec::new(),
                next_start: now,
                only: None,
                pending: None,
                reason: Reason::Started,
                spread_until: now,
            }),
        };
        machine.step(Event::Woke, now)
    }

    /// Takes in an event and returns what to do about it.
    #[must_use]
    pub fn step(mut self, event: Event, now: Moment) -> (Self, Vec<Action>) {
        self.now = self.now.max(now);
        let mut actions = Vec::new();
        self.receive(event, &mut actions);
        // Ends: whatever is done moves its own timer into the future, and every wait is longer than
        // nothing.
        while self.tick(&mut actions) {}
        actions.extend(self.next_due().map(Action::WaitUntil));
        (self, actions)
    }

    /// The master in use.
    #[must_use]
    pub const fn current(&self) -> Option<Position> {
        match &self.phase {
            Phase::Connected(session) => Some(session.master),
            Phase::Ended(_) | Phase::Ending { .. } | Phase::Resting { .. } | Phase::Seeking(_) => {
                None
            }
        }
    }

    /// How the minion gave up, if it did.
    #[must_use]
    pub const fn exit(&self) -> Option<Exit> {
        match &self.phase {
            Phase::Ended(exit) => Some(*exit),
            Phase::Connected(_)
            | Phase::Ending { .. }
            | Phase::Resting { .. }
            | Phase::Seeking(_) => None,
        }
    }

    fn receive(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Answered { attempt, outcome } => self.answered(attempt, outcome, actions),
            Event::Disconnected { attempt } => self.disconnected(attempt, actions),
            Event::KeysRefused { attempt } => self.keys_refused(attempt),
            Event::ProbeAnswered { probe } => self.probe_answered(probe),
            Event::Reached { attempt } => self.reached(attempt),
            Event::Woke => {}
        }
    }

    fn reached(&mut self, id: AttemptId) {
        let attempts = match &mut self.phase {
            Phase::Seeking(search) => search.attempts.as_mut_slice(),
            // A failback under way becomes an attempt of the search, if the session is lost.
            Phase::Connected(session) => session.side.as_mut_slice(),
            Phase::Ended(_) | Phase::Ending { .. } | Phase::Resting { .. } => &mut [],
        };
        if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.id == id) {
            attempt.reached = true;
        }
    }

    fn answered(&mut self, id: AttemptId, outcome: Outcome, actions: &mut Vec<Action>) {
        match &mut self.phase {
            Phase::Seeking(search) => {
                if let Some(attempt) = search.take(id) {
                    self.sought(attempt, outcome, actions);
                }
            }
            Phase::Connected(session) => {
                if let Some(attempt) = session.side.take_if(|attempt| attempt.id == id) {
                    self.beside(attempt, outcome, actions);
                }
            }
            Phase::Ended(_) | Phase::Ending { .. } | Phase::Resting { .. } => {}
        }
    }

    /// Does one thing that is due; tells whether there was one.
    fn tick(&mut self, actions: &mut Vec<Action>) -> bool {
        match self.phase {
            Phase::Connected(session) => self.tick_session(session, actions),
            Phase::Ended(_) => false,
            Phase::Ending { at, exit } => {
                if at > self.now {
                    return false;
                }
                self.phase = Phase::Ended(exit);
                actions.push(Action::GiveUp(exit));
                true
            }
            Phase::Resting {
                until,
                only,
                reason,
            } => {
                if until > self.now {
                    return false;
                }
                self.begin_search(reason, only, self.now);
                true
            }
            Phase::Seeking(_) => self.tick_search(actions),
        }
    }

    fn next_due(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Connected(session) => session.next_due().map(|(at, _)| at),
            Phase::Ended(_) => None,
            Phase::Ending { at, .. } => Some(*at),
            Phase::Resting { until, .. } => Some(*until),
            Phase::Seeking(search) => {
                let deadlines = search.attempts.iter().map(|attempt| attempt.deadline);
                let start = self.next_start(search).map(|(at, _)| at);
                deadlines.chain(start).min()
            }
        }
    }

    /// Begins an attempt; the caller keeps it.
    pub(super) fn authenticate(&mut self, master: Position, actions: &mut Vec<Action>) -> Attempt {
        let attempt = Attempt {
            deadline: self.now.after(self.policy.auth_timeout),
            id: AttemptId(self.fresh_id()),
            master,
            reached: false,
        };
        if let Some(candidate) = self.candidates.get_mut(master) {
            candidate.hold_until = candidate.hold_until.max(self.now.after(SHORTEST_GAP));
        }
        let address = self.candidates.address(master);
        actions.push(Action::Report(Report::Attempting(address)));
        actions.push(Action::Authenticate {
            attempt: attempt.id,
            master,
            deadline: attempt.deadline,
        });
        attempt
    }

    /// Says that another master is addressed than before.
    pub(super) fn address(&mut self, master: Position, actions: &mut Vec<Action>) {
        if let Some(last) = self.last.filter(|last| *last != master) {
            actions.push(Action::Report(Report::AddressChanged {
                from: self.candidates.address(last),
                to: self.candidates.address(master),
            }));
        }
        self.last = Some(master);
    }

    pub(super) const fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }
}

/// No master is asked twice within this, whatever it answers: half of the shortest wait.
const SHORTEST_GAP: Duration = Duration::from_millis(500);
