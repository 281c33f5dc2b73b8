//! What the tasks of an agent tell its driver.

use std::sync::Arc;

use super::attempt::SignedIn;
use super::channel::Channel;
use super::outcome::Failed;
use crate::failover::{AttemptId, ProbeId};
use crate::wire::publish::Publication;

/// Something that a task has to tell.
#[derive(Debug)]
pub(super) enum Notice {
    /// Half of a master is alive.
    Alive { probe: ProbeId, half: Half },
    /// An attempt to sign in is over.
    Ended {
        attempt: AttemptId,
        result: Box<Result<SignedIn, Failed>>,
    },
    /// A connection of a session is gone for good.
    Gone { attempt: AttemptId, why: String },
    /// A session's keys are not the master's any more.
    KeysRefused { attempt: AttemptId },
    /// A job, or what looks like one for somebody else.
    Published {
        channel: Arc<Channel>,
        publication: Box<Publication>,
    },
    /// A master has taken the connection of an attempt and is being asked.
    Reached { attempt: AttemptId },
}

/// The two services of a master, each of which can hang alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    Publisher,
    Requests,
}

/// Why a connection is gone whose task had a bug.
pub(super) const PANICKED: &str = "its task panicked, which is a bug of this program";

/// How many notices may wait. A driver takes them one after the other and never waits for a task,
/// so a task that has to wait here waits for the driver's turn and no longer.
pub(super) const NOTICES: usize = 32;
