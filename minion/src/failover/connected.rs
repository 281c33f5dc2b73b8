//! Life with a master: is it still there, does it still know us, is the first one back.
//!
//! Renewal and failback run beside the session and end it only when something better is in hand. A
//! failback is tried by authenticating at the first master: Salt's unauthenticated `ping` would let
//! any host at that address move the minion.

use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, Reason};
use super::backoff::{doubled, halved};
use super::candidate::Verdict;
use super::event::{AttemptId, Failure, Outcome, ProbeId};
use super::machine::Machine;
use super::moment::Moment;
use super::policy::{PendingRule, Position};
use super::report::Report;
use super::state::{Attempt, Due, Phase, Session};

impl Machine {
    /// Begins a session on an attempt that was accepted.
    pub(super) fn connect(&mut self, by: Attempt, reason: Reason, actions: &mut Vec<Action>) {
        self.asks = 0;
        self.candidates.forget_crowds();
        self.rests = 0;
        self.rounds = 0;
        self.unresolved = 0;
        self.address(by.master, actions);
        actions.push(Action::Report(Report::Authenticated));
        actions.push(Action::Switch {
            attempt: by.id,
            master: by.master,
            reason,
        });
        let now = self.now;
        self.phase = Phase::Connected(Session {
            attempt: by.id,
            failback_at: self.failback_at(by.master),
            master: by.master,
            probe_at: self.policy.probe.map(|probing| now.after(probing.period)),
            probe_out: None,
            renew_at: None,
            side: None,
            since: now,
        });
    }

    /// Not in step with the rest of the fleet, and the later the more often the first master has
    /// flapped.
    fn failback_at(&mut self, current: Position) -> Option<Moment> {
        let every = self
            .policy
            .failback
            .filter(|_| current != Position::FIRST)?;
        let first = self.candidates.get(Position::FIRST)?;
        let (flaps, hold) = (first.flaps, first.free_at());
        let wait = doubled(every, flaps.saturating_sub(1).min(FAILBACK_DOUBLINGS));
        let spread = halved(every).max(self.policy.loss_spread);
        let at = self.now.after(wait).after(self.random.within(spread));
        Some(at.max(hold))
    }

    pub(super) fn disconnected(&mut self, attempt: AttemptId, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Connected(session) if session.attempt == attempt => self.lose(session, actions),
            Phase::Connected(_)
            | Phase::Ended(_)
            | Phase::Ending { .. }
            | Phase::Resting { .. }
            | Phase::Seeking(_) => {}
        }
    }

    pub(super) fn keys_refused(&mut self, attempt: AttemptId) {
        let Phase::Connected(session) = self.phase else {
            return;
        };
        let renewing = session
            .side
            .is_some_and(|side| side.master == session.master);
        if session.attempt != attempt || session.renew_at.is_some() || renewing {
            return;
        }
        let at = self
            .now
            .after(self.random.within(self.policy.reauth_spread));
        let asked = self.candidates.get(session.master);
        let at = asked.map_or(at, |candidate| at.max(candidate.hold_until));
        if let Phase::Connected(session) = &mut self.phase {
            session.renew_at = Some(at);
        }
    }

    pub(super) fn probe_answered(&mut self, probe: ProbeId) {
        let Some(probing) = self.policy.probe else {
            return;
        };
        if let Phase::Connected(session) = &mut self.phase
            && let Some((_, _, sent)) = session.probe_out.take_if(|(id, _, _)| *id == probe)
        {
            session.probe_at = Some(sent.after(probing.period));
        }
    }

    pub(super) fn tick_session(&mut self, session: Session, actions: &mut Vec<Action>) -> bool {
        let due = session.next_due().filter(|(at, _)| *at <= self.now);
        let Some((_, due)) = due else {
            return false;
        };
        match due {
            Due::Failback => self.ask_beside(Position::FIRST, actions),
            Due::Hung => self.lose(session, actions),
            Due::Probe => self.probe(session.attempt, actions),
            Due::Renew => self.ask_beside(session.master, actions),
            Due::SideUnanswered => self.side_unanswered(actions),
        }
        true
    }

    fn probe(&mut self, attempt: AttemptId, actions: &mut Vec<Action>) {
        let Some(probing) = self.policy.probe else {
            return;
        };
        let probe = ProbeId(self.fresh_id());
        let deadline = self.now.after(probing.timeout);
        if let Phase::Connected(session) = &mut self.phase {
            session.probe_at = None;
            session.probe_out = Some((probe, deadline, self.now));
        }
        actions.push(Action::Probe {
            probe,
            attempt,
            deadline,
        });
    }

    fn ask_beside(&mut self, master: Position, actions: &mut Vec<Action>) {
        let attempt = self.authenticate(master, actions);
        if let Phase::Connected(session) = &mut self.phase {
            if master == session.master {
                session.renew_at = None;
            } else {
                session.failback_at = None;
            }
            session.side = Some(attempt);
        }
    }

    fn side_unanswered(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Connected(session) = &mut self.phase
            && let Some(attempt) = session.side.take()
        {
            actions.push(Action::Close(attempt.id));
            self.beside(attempt, Outcome::Failed(Failure::NoAnswer), actions);
        }
    }

    /// A renewal or a failback has ended; it is already taken out.
    pub(super) fn beside(&mut self, attempt: Attempt, out: Outcome, actions: &mut Vec<Action>) {
        let Phase::Connected(session) = self.phase else {
            return;
        };
        if attempt.master == session.master {
            self.renewed(session, attempt, out, actions);
        } else if out == Outcome::Accepted {
            self.fail_back(session, attempt, actions);
        } else {
            let next = self.failback_at(session.master);
            if let Phase::Connected(session) = &mut self.phase {
                session.failback_at = next;
            }
        }
    }

    fn fail_back(&mut self, old: Session, attempt: Attempt, actions: &mut Vec<Action>) {
        self.candidates.reorder(&self.policy, &mut self.random);
        actions.push(Action::Report(Report::TuningIn));
        self.connect(attempt, Reason::Failback, actions);
        actions.push(Action::Close(old.attempt));
    }

    fn renewed(&mut self, old: Session, by: Attempt, out: Outcome, actions: &mut Vec<Action>) {
        match out {
            Outcome::Accepted => {
                self.connect(by, Reason::Renewed, actions);
                if let Phase::Connected(session) = &mut self.phase {
                    // The same life goes on: a master that renews often is not flapping.
                    session.failback_at = old.failback_at;
                    session.since = old.since;
                }
                actions.push(Action::Close(old.attempt));
            }
            Outcome::Failed(failure) => {
                if matches!(failure, Failure::Rejected(_)) {
                    actions.push(Action::Report(Report::Rejected));
                }
                self.lose(old, actions);
            }
            Outcome::Pending => self.forgotten(old, actions),
        }
    }

    /// The master has deleted our key and waits for an operator, as at first contact.
    fn forgotten(&mut self, old: Session, actions: &mut Vec<Action>) {
        if self.policy.pending == PendingRule::Stay {
            actions.push(Action::Close(old.attempt));
            self.wait_for_acceptance(old.master, Reason::Lost, actions);
            return;
        }
        self.lose(old, actions);
        if let Some(candidate) = self.candidates.get_mut(old.master) {
            candidate.verdict = Some(Verdict::Pending);
        }
        if let Phase::Seeking(search) = &mut self.phase {
            search.pending = Some(old.master);
        }
    }

    /// Ends the session and looks for another master.
    fn lose(&mut self, old: Session, actions: &mut Vec<Action>) {
        let address = self.candidates.address(old.master);
        actions.push(Action::Report(Report::Lost(Arc::clone(&address))));
        actions.push(Action::Close(old.attempt));
        self.hold(old);
        if self.candidates.several() {
            actions.push(Action::Report(Report::TuningIn));
            actions.push(Action::Report(Report::Removing(address)));
            self.candidates
                .demote(old.master, &self.policy, &mut self.random);
        }
        let from = self.now.after(self.random.within(self.policy.loss_spread));
        self.begin_search(Reason::Lost, None, from);
        self.keep_failback(old, actions);
    }

    /// Leaves a lost master alone for a moment, longer each time that it did not last.
    fn hold(&mut self, old: Session) {
        let lasted = self.now.since(old.since);
        let Some(candidate) = self.candidates.get_mut(old.master) else {
            return;
        };
        candidate.flaps = if lasted >= STABLE {
            1
        } else {
            candidate.flaps.saturating_add(1)
        };
        let wait = self.policy.rest.delay(candidate.flaps, &mut self.random);
        candidate.hold_until = self.now.after(wait);
    }

    /// A failback under way is the search's first attempt; a renewal is over.
    fn keep_failback(&mut self, old: Session, actions: &mut Vec<Action>) {
        let Some(side) = old.side else {
            return;
        };
        if side.master == old.master {
            actions.push(Action::Close(side.id));
        } else if let Phase::Seeking(search) = &mut self.phase {
            search.attempts.push(side);
            search.next_start = self.now;
        }
    }
}

/// A session this long was no flap.
const STABLE: Duration = Duration::from_secs(60);

/// A flapping first master is left alone for 32 intervals at most, so that an operator who mended
/// it sees it used.
const FAILBACK_DOUBLINGS: u32 = 5;
