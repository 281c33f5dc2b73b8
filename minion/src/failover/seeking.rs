//! Looking for a master: one round over the list after another.
//!
//! Attempts overlap. Salt asks one master at a time and pays `auth_timeout` for each dead one; here
//! the next is asked a moment later while the first may still answer, as RFC 8305 does with
//! addresses.

use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, Exit, Reason};
use super::candidate::Verdict;
use super::event::{Evidence, Failure, Outcome};
use super::machine::Machine;
use super::moment::Moment;
use super::policy::{PendingRule, Position};
use super::report::Report;
use super::state::{Attempt, Phase, Search};

impl Machine {
    /// Begins a round; with `only`, that master is asked first and alone.
    pub(super) fn begin_search(&mut self, reason: Reason, only: Option<Position>, from: Moment) {
        self.candidates.begin_round();
        self.phase = Phase::Seeking(Search {
            attempts: Vec::new(),
            next_start: self.now,
            only,
            pending: None,
            reason,
            spread_until: from,
        });
    }

    /// One of the search's attempts has ended; it is already taken out.
    pub(super) fn sought(&mut self, attempt: Attempt, out: Outcome, actions: &mut Vec<Action>) {
        match out {
            Outcome::Accepted => self.found(attempt, actions),
            Outcome::Failed(failure) => self.failed(attempt, failure, actions),
            Outcome::Pending => self.pending(attempt.master),
        }
    }

    /// Uses the master that accepted, and closes the attempts at the others.
    fn found(&mut self, attempt: Attempt, actions: &mut Vec<Action>) {
        let Phase::Seeking(search) = &self.phase else {
            return;
        };
        let reason = search.reason;
        actions.extend(search.attempts.iter().map(|other| Action::Close(other.id)));
        self.connect(attempt, reason, actions);
    }

    fn failed(&mut self, attempt: Attempt, failure: Failure, actions: &mut Vec<Action>) {
        let (tries, now) = (self.policy.auth_tries, self.now);
        let several = self.candidates.several();
        let Some(candidate) = self.candidates.get_mut(attempt.master) else {
            return;
        };
        if failure == Failure::NoAnswer && attempt.reached {
            // A crowd: whoever asks again at once is one more of it.
            candidate.crowds = candidate.crowds.saturating_add(1);
            let wait = self.policy.crowd.delay(candidate.crowds, &mut self.random);
            candidate.crowd_until = now.after(wait);
        } else {
            candidate.crowds = 0;
        }
        if failure == Failure::NoAnswer {
            candidate.timeouts = candidate.timeouts.saturating_add(1);
        }
        if failure == Failure::NoAnswer && candidate.timeouts < tries {
            // Asked again, but not before this attempt would have ended: an early failure is no
            // reason to hurry.
            candidate.hold_until = candidate.hold_until.max(attempt.deadline);
        } else {
            candidate.verdict = Some(Verdict::Failed(failure));
        }
        if matches!(failure, Failure::Rejected(_)) {
            actions.push(Action::Report(Report::Rejected));
        }
        if several {
            let address = self.candidates.address(attempt.master);
            actions.push(Action::Report(Report::TryingNext(address)));
        }
        if let Phase::Seeking(search) = &mut self.phase {
            search.next_start = now;
            search.only = None;
        }
    }

    fn pending(&mut self, master: Position) {
        if let Some(candidate) = self.candidates.get_mut(master) {
            candidate.crowds = 0;
            candidate.verdict = Some(Verdict::Pending);
        }
        let now = self.now;
        let rank = |wanted| {
            self.candidates
                .iter()
                .position(|one| one.position == wanted)
        };
        if let Phase::Seeking(search) = &mut self.phase {
            // Of several pending masters, the one that comes first in the order is waited for.
            let best = search
                .pending
                .into_iter()
                .chain([master])
                .min_by_key(|one| rank(*one));
            search.pending = best;
            search.next_start = now;
        }
    }

    pub(super) fn tick_search(&mut self, actions: &mut Vec<Action>) -> bool {
        let now = self.now;
        let Phase::Seeking(search) = &mut self.phase else {
            return false;
        };
        let late = search
            .attempts
            .iter()
            .find(|attempt| attempt.deadline <= now)
            .copied();
        if let Some(attempt) = late {
            search.take(attempt.id);
            actions.push(Action::Close(attempt.id));
            self.failed(attempt, Failure::NoAnswer, actions);
            return true;
        }
        let idle = search.attempts.is_empty();
        let Phase::Seeking(search) = &self.phase else {
            return false;
        };
        match self.next_start(search) {
            Some((at, master)) if at <= now => self.ask(master, actions),
            None if idle => self.round_over(actions),
            Some(_) if idle && self.only_crowds_are_left(search) => self.round_over(actions),
            Some(_) | None => return false,
        }
        true
    }

    /// Which master is asked next, and when; none if nobody is left to ask in this round.
    pub(super) fn next_start(&self, search: &Search) -> Option<(Moment, Position)> {
        if search.pending.is_some() && self.policy.pending == PendingRule::Stay {
            return None;
        }
        let earliest = search.next_start.max(search.spread_until).max(self.now);
        let untried = self.candidates.iter().filter(|one| one.verdict.is_none());
        untried
            .filter(|one| !search.asks(one.position))
            .filter(|one| search.only.is_none_or(|only| only == one.position))
            .map(|one| (one.free_at().max(earliest), one.position))
            .min_by_key(|(at, _)| *at)
    }

    /// Whether nobody is left in this round but masters that are too busy: they must not keep the
    /// others waiting for the next round.
    fn only_crowds_are_left(&self, search: &Search) -> bool {
        let asked = self.candidates.iter().any(|one| one.verdict.is_some());
        let mut left = self.candidates.iter().filter(|one| one.verdict.is_none());
        asked && search.only.is_none() && left.all(|one| one.crowd_until > self.now)
    }

    fn ask(&mut self, master: Position, actions: &mut Vec<Action>) {
        self.address(master, actions);
        let attempt = self.authenticate(master, actions);
        let next = self.now.after(self.policy.stagger);
        if let Phase::Seeking(search) = &mut self.phase {
            search.attempts.push(attempt);
            search.next_start = next;
        }
    }

    /// Nobody accepted and nobody is left to ask.
    fn round_over(&mut self, actions: &mut Vec<Action>) {
        let Phase::Seeking(search) = &self.phase else {
            return;
        };
        let reason = search.reason;
        if let Some(master) = search.pending {
            self.wait_for_acceptance(master, reason, actions);
        } else if self.is_barred() {
            actions.push(Action::Report(Report::RejectedByAll));
            self.end(Exit::NoPermission, AFTER_REJECTION);
        } else if !self.look_up_again(reason, actions) {
            self.rest(reason, actions);
        }
    }

    /// The tutorial's rule: a master that has stored our key is as good as one that accepted it,
    /// only later.
    pub(super) fn wait_for_acceptance(
        &mut self,
        master: Position,
        reason: Reason,
        actions: &mut Vec<Action>,
    ) {
        self.asks = self.asks.saturating_add(1);
        self.rests = 0;
        self.rounds = 0;
        let wait = self.policy.acceptance.full(self.asks);
        actions.push(Action::Report(Report::Cached { wait }));
        let until = self
            .now
            .after(self.policy.acceptance.delay(self.asks, &mut self.random));
        let stay = self.policy.pending == PendingRule::Stay;
        let only = stay.then_some(master);
        self.phase = Phase::Resting {
            until,
            only,
            reason,
        };
    }

    fn is_barred(&self) -> bool {
        let barred = Failure::Rejected(Evidence::Verified);
        !self.policy.rejected_retry && self.candidates.all_failed(|failure| failure == barred)
    }

    /// Waits `retry_dns` if it is the name of the only master that failed.
    fn look_up_again(&mut self, reason: Reason, actions: &mut Vec<Action>) -> bool {
        let unknown = self
            .candidates
            .all_failed(|failure| failure == Failure::Unresolved);
        let Some(again) = self.policy.retry_dns.filter(|_| unknown) else {
            self.unresolved = 0;
            return false;
        };
        self.unresolved = self.unresolved.saturating_add(1);
        if self
            .policy
            .retry_dns_count
            .is_some_and(|most| self.unresolved > most)
        {
            self.end(Exit::Unresolved, Duration::ZERO);
            return true;
        }
        if let Some(one) = self.candidates.iter().next() {
            let (master, wait) = (Arc::clone(&one.address), again.full(self.unresolved));
            actions.push(Action::Report(Report::Unresolved { master, wait }));
        }
        self.phase = Phase::Resting {
            until: self
                .now
                .after(again.delay(self.unresolved, &mut self.random)),
            only: None,
            reason,
        };
        true
    }

    /// Waits and goes round again, unless `master_tries` says that this was the last round.
    fn rest(&mut self, reason: Reason, actions: &mut Vec<Action>) {
        actions.push(Action::Report(Report::NoMaster));
        self.rests = self.rests.saturating_add(1);
        // A round that did not wait for a busy master is none of `master_tries`.
        let left = self.candidates.iter().any(|one| one.verdict.is_none());
        let spared = left || self.policy.safemode && self.candidates.any_failed(Failure::NoAnswer);
        self.rounds = self.rounds.saturating_add(u32::from(!spared));
        if self
            .policy
            .master_tries
            .is_some_and(|most| self.rounds >= most.get())
        {
            let distrusted = self.candidates.all_failed(Failure::is_distrust);
            let exit = if distrusted {
                Exit::Untrusted
            } else {
                Exit::NoMaster
            };
            self.end(exit, Duration::ZERO);
            return;
        }
        self.phase = Phase::Resting {
            until: self
                .now
                .after(self.policy.rest.delay(self.rests, &mut self.random)),
            only: None,
            reason,
        };
    }

    /// Gives up, spread over `random_reauth_delay`: a supervisor will start the whole fleet again.
    fn end(&mut self, exit: Exit, at_least: Duration) {
        let spread = self.random.within(self.policy.reauth_spread);
        self.phase = Phase::Ending {
            at: self.now.after(at_least).after(spread),
            exit,
        };
    }
}

/// Salt 3008.5, salt/crypt.py: a rejected minion sleeps 10 to 20 s before it exits.
const AFTER_REJECTION: Duration = Duration::from_secs(10);
