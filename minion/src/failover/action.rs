//! What the machine asks of the agent, in the order of a step's list.

use super::event::{AttemptId, ProbeId};
use super::moment::Moment;
use super::policy::Position;
use super::report::Report;

/// One thing to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Connect and authenticate; report the outcome as `Answered`.
    Authenticate {
        /// The name of this attempt in later events and actions.
        attempt: AttemptId,
        /// The master to ask.
        master: Position,
        /// When the machine will close the attempt if nothing has come.
        deadline: Moment,
    },
    /// End this attempt or session, if it has not ended already.
    Close(AttemptId),
    /// End the process with this code; nothing follows.
    GiveUp(Exit),
    /// Ask the master in use for a sign of life; report it as `ProbeAnswered`.
    Probe {
        /// The name of this probe in the answer.
        probe: ProbeId,
        /// The session to ask on.
        attempt: AttemptId,
        /// When the machine will take the master for lost.
        deadline: Moment,
    },
    /// Write this to the log.
    Report(Report),
    /// Work with this master, by the keys of this attempt, from here on.
    Switch {
        /// The attempt that became the session.
        attempt: AttemptId,
        /// The master.
        master: Position,
        /// Why.
        reason: Reason,
    },
    /// Send `Woke` at this moment. The last action of a step, and it replaces the one before; a
    /// step without it leaves only events to wait for.
    WaitUntil(Moment),
}

/// Why the minion works with another master, or with the same by another key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The first master of the list is back.
    Failback,
    /// The master before was lost.
    Lost,
    /// The same master, after it rotated its key.
    Renewed,
    /// The minion had no master yet.
    Started,
}

/// Why there is no point in going on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// `master_tries` rounds found no master.
    NoMaster,
    /// Every master of the list rejected this minion, each over a verified signature.
    NoPermission,
    /// `retry_dns_count` look-ups found no address.
    Unresolved,
    /// `master_tries` rounds found masters, none of which proved its key.
    Untrusted,
}

impl Exit {
    /// The exit code; Salt's where Salt has one (`salt/defaults/exitcodes.py`, 3008.5).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::NoMaster => 69,
            Self::NoPermission => 77,
            Self::Unresolved | Self::Untrusted => 42,
        }
    }
}
