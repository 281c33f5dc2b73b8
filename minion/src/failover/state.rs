//! What the minion is doing: one of five things, each with exactly the data that it needs.
//!
//! There is one `Session` at most and only [`Phase::Connected`] holds it, so two current masters
//! cannot be written down.

use super::action::{Exit, Reason};
use super::event::{AttemptId, ProbeId};
use super::moment::Moment;
use super::policy::Position;

/// What the minion is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// It works with a master.
    Connected(Session),
    /// It has given up.
    Ended(Exit),
    /// It gives up at this moment, so that a fleet does not restart in step.
    Ending { at: Moment, exit: Exit },
    /// It waits before it asks again; only this master if it is named.
    Resting {
        until: Moment,
        only: Option<Position>,
        reason: Reason,
    },
    /// It looks for a master.
    Seeking(Search),
}

/// One round over the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Search {
    /// Attempts under way, oldest first; one per master at most.
    pub(super) attempts: Vec<Attempt>,
    /// No further attempt begins before this.
    pub(super) next_start: Moment,
    /// While set, no other master is asked: this one is pending.
    pub(super) only: Option<Position>,
    /// The pending master to wait for if nobody accepts.
    pub(super) pending: Option<Position>,
    /// Why the minion looks for a master.
    pub(super) reason: Reason,
    /// No attempt begins before this: the fleet's spread after a loss.
    pub(super) spread_until: Moment,
}

impl Search {
    /// Takes an attempt out, if it is one of these.
    pub(super) fn take(&mut self, id: AttemptId) -> Option<Attempt> {
        let at = self.attempts.iter().position(|attempt| attempt.id == id)?;
        Some(self.attempts.remove(at))
    }

    /// Whether this master is being asked.
    pub(super) fn asks(&self, master: Position) -> bool {
        self.attempts.iter().any(|attempt| attempt.master == master)
    }
}

/// An attempt under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Attempt {
    pub(super) deadline: Moment,
    pub(super) id: AttemptId,
    pub(super) master: Position,
    /// The master has taken the connection.
    pub(super) reached: bool,
}

/// Life with one master.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Session {
    /// The attempt that began it.
    pub(super) attempt: AttemptId,
    /// When to ask the first master again; none on the first, or without failback.
    pub(super) failback_at: Option<Moment>,
    /// The master.
    pub(super) master: Position,
    /// When to send the next probe; none without probes, and while one is out.
    pub(super) probe_at: Option<Moment>,
    /// The probe that is out, with its deadline, and when it was sent.
    pub(super) probe_out: Option<(ProbeId, Moment, Moment)>,
    /// When to authenticate again, after a key rotation.
    pub(super) renew_at: Option<Moment>,
    /// The attempt beside the session: a renewal if its master is ours, else a failback. One at a
    /// time.
    pub(super) side: Option<Attempt>,
    /// When it began.
    pub(super) since: Moment,
}

impl Session {
    /// What is due next, and when.
    pub(super) fn next_due(&self) -> Option<(Moment, Due)> {
        let probe_out = self.probe_out.map(|(_, deadline, _)| (deadline, Due::Hung));
        let probe_at = self.probe_at.map(|at| (at, Due::Probe));
        let side = match self.side {
            Some(attempt) => Some((attempt.deadline, Due::SideUnanswered)),
            None => {
                let renew = self.renew_at.map(|at| (at, Due::Renew));
                let failback = self.failback_at.map(|at| (at, Due::Failback));
                [renew, failback].into_iter().flatten().min()
            }
        };
        [probe_out, probe_at, side].into_iter().flatten().min()
    }
}

/// What a session's timers call for, the most pressing first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Due {
    /// The probe was not answered.
    Hung,
    /// The attempt beside the session was not answered.
    SideUnanswered,
    /// Authenticate again.
    Renew,
    /// Send a probe.
    Probe,
    /// Ask the first master.
    Failback,
}
