//! What one worker holds, and since when.
//!
//! A worker takes calls in order and signs as many at a time as it has sessions, so the service
//! knows without being told which calls the token works on: the oldest ones, one for each session.
//! The deadline runs from the moment a call became one of these; a call that only waits behind a
//! slow one is not suspected.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::queue::Suspicion;

/// The calls in the hands of one worker.
#[derive(Debug)]
pub(super) struct Flight<T> {
    calls: BTreeMap<u32, Held<T>>,
    sessions: usize,
    deadline: Duration,
    last_id: u32,
}

#[derive(Debug)]
struct Held<T> {
    call: T,
    started: Option<Instant>,
}

impl<T> Flight<T> {
    pub(super) const fn new(sessions: usize, deadline: Duration) -> Self {
        Self {
            calls: BTreeMap::new(),
            sessions,
            deadline,
            last_id: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether the worker should get calls: half of what it was sent ahead is used up, and what is
    /// left is just enough for one more in each session.
    ///
    /// Filling up whenever one call is done would cost a write for each signature, and a wake-up of
    /// the worker's reading thread, which then checks a single call with cold caches.
    pub(super) fn is_low(&self) -> bool {
        let left = self.ahead() / 2;
        self.calls.len() <= self.sessions.saturating_add(left)
    }

    /// Whether the worker may get another call while it gets some.
    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < self.sessions.saturating_add(self.ahead())
    }

    fn ahead(&self) -> usize {
        self.sessions.saturating_mul(2).max(LEAST_AHEAD)
    }

    /// Notes a call that is about to be sent; the number is its id.
    pub(super) fn add(&mut self, call: T, now: Instant) -> u32 {
        // Zero belongs to what is no answer. After four thousand million calls the oldest id is
        // long answered.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let started = (self.calls.len() < self.sessions).then_some(now);
        self.calls.insert(self.last_id, Held { call, started });
        self.last_id
    }

    /// Takes out the call that was answered; another one starts in its session.
    pub(super) fn remove(&mut self, id: u32, now: Instant) -> Option<T> {
        let held = self.calls.remove(&id)?;
        for next in self.calls.values_mut().take(self.sessions) {
            next.started.get_or_insert(now);
        }
        Some(held.call)
    }

    /// When the first call will be past the deadline.
    pub(super) fn due(&self) -> Option<Instant> {
        // Only these can have started, and ids that have gone round may stand in any order among
        // them.
        let in_sessions = self.calls.values().take(self.sessions);
        let started = in_sessions.filter_map(|held| held.started).min()?;
        started.checked_add(self.deadline)
    }

    /// Everything the worker held when it was lost.
    ///
    /// If some calls are past the deadline, they are the suspects; if none is, the process died by
    /// itself, over any of those that the token worked on.
    pub(super) fn into_lost(self, now: Instant) -> impl Iterator<Item = (T, Suspicion)> {
        let deadline = self.deadline;
        let late = move |started: Option<Instant>| {
            started.is_some_and(|started| now.saturating_duration_since(started) >= deadline)
        };
        let any_late = self.calls.values().any(|held| late(held.started));
        self.calls.into_values().map(move |held| {
            let suspected = late(held.started) || (!any_late && held.started.is_some());
            let suspicion = if suspected {
                Suspicion::Suspect
            } else {
                Suspicion::Innocent
            };
            (held.call, suspicion)
        })
    }
}

/// Half of it is enough for a service that is not scheduled for the time of some signatures.
const LEAST_AHEAD: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn only_calls_in_a_session_run_against_the_deadline() {
        let start = Instant::now();
        let mut flight = Flight::new(1, SECOND);
        let a = flight.add('a', start);
        flight.add('b', start);
        assert_eq!(flight.due(), Some(start + SECOND));
        let later = start + SECOND / 2;
        assert_eq!(flight.remove(a, later), Some('a'));
        assert_eq!(flight.due(), Some(later + SECOND));
    }

    #[test]
    fn the_late_ones_are_the_suspects() {
        let start = Instant::now();
        let mut flight = Flight::new(2, SECOND);
        let a = flight.add('a', start);
        flight.add('b', start);
        flight.add('c', start);
        flight.remove(a, start + SECOND / 2);
        assert_eq!(
            lost(flight, start + SECOND),
            [('b', Suspicion::Suspect), ('c', Suspicion::Innocent)]
        );
    }

    #[test]
    fn after_a_crash_those_in_a_session_are_the_suspects() {
        let start = Instant::now();
        let mut flight = Flight::new(2, SECOND);
        for call in ['a', 'b', 'c'] {
            flight.add(call, start);
        }
        assert_eq!(
            lost(flight, start),
            [
                ('a', Suspicion::Suspect),
                ('b', Suspicion::Suspect),
                ('c', Suspicion::Innocent)
            ]
        );
    }

    #[test]
    fn an_unknown_answer_is_nobodys() {
        let mut flight = Flight::new(1, SECOND);
        let a = flight.add('a', Instant::now());
        assert_eq!(flight.remove(a + 1, Instant::now()), None);
        assert_eq!(flight.remove(0, Instant::now()), None);
        assert_eq!(flight.len(), 1);
    }

    #[test]
    fn ids_go_round_without_zero() {
        let mut flight = Flight::new(1, SECOND);
        flight.last_id = u32::MAX - 1;
        let ids = ['a', 'b', 'c'].map(|call| flight.add(call, Instant::now()));
        assert_eq!(ids, [u32::MAX, 1, 2]);
    }

    #[test]
    fn each_session_has_a_call_ahead_until_several_are_sent() {
        for (sessions, most) in [(1, 9), (2, 10), (8, 24), (256, 768)] {
            let mut flight = Flight::new(sessions, SECOND);
            let mut ids = VecDeque::new();
            while flight.has_room() {
                ids.push_back(flight.add((), Instant::now()));
            }
            assert_eq!(ids.len(), most, "{sessions} sessions");
            while !flight.is_low() {
                flight.remove(ids.pop_front().unwrap(), Instant::now());
            }
            assert!(flight.len() >= 2 * sessions, "{sessions} sessions");
            assert!(flight.len() <= most - 4, "{sessions} sessions");
        }
    }

    fn lost(flight: Flight<char>, now: Instant) -> Vec<(char, Suspicion)> {
        flight.into_lost(now).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);
}
