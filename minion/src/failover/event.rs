//! What the agent tells the machine.
//!
//! Every event names the attempt or the probe that it is about. One that is over, or never was, is
//! ignored: an answer that arrives after its deadline must not move a minion that has settled
//! elsewhere.

/// The name of an attempt to authenticate, and of the session that comes of it; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttemptId(pub(super) u64);

#[cfg(test)]
impl AttemptId {
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// The name of a probe; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProbeId(pub(super) u64);

#[cfg(test)]
impl ProbeId {
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// An attempt came to its end.
    Answered {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The connection of the session that this attempt began is gone.
    Disconnected {
        /// The attempt that began the session.
        attempt: AttemptId,
    },
    /// The session's keys no longer open what the master sends, or it no longer takes ours: it has
    /// rotated its key.
    KeysRefused {
        /// The attempt that began the session.
        attempt: AttemptId,
    },
    /// The master answered a probe.
    ProbeAnswered {
        /// The probe.
        probe: ProbeId,
    },
    /// The master of this attempt has taken the connection and is being asked. If the attempt comes
    /// to no end in time, the master is taken for one that has more to do than it can.
    Reached {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The moment of the last [`Action::WaitUntil`](super::Action::WaitUntil) has come.
    Woke,
}

/// How an attempt to authenticate ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The master proved its key and accepted ours.
    Accepted,
    /// Nothing that a minion can work with.
    Failed(Failure),
    /// The master has stored our key and an operator has not decided.
    Pending,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// `pub_sig` was made by another key, or is damaged.
    BadSignature,
    /// The reply is not what Salt sends: undecodable, another nonce, a bare error string.
    Broken,
    /// The key is not the one of `master_finger`.
    FingerprintMismatch,
    /// The master has `max_minions` already.
    Full,
    /// `pub_sig` is not there.
    MissingSignature,
    /// Nothing came within `auth_timeout`.
    NoAnswer,
    /// The operator rejected our key, or another key has our id.
    Rejected(Evidence),
    /// The connection was refused, or there is no route.
    Unreachable,
    /// The name has no address.
    Unresolved,
    /// The master does not know the configured algorithms.
    UnsupportedAlgorithm,
}

impl Failure {
    /// Whether the master failed to prove that it is one of ours.
    pub(super) const fn is_distrust(self) -> bool {
        match self {
            Self::BadSignature | Self::FingerprintMismatch | Self::MissingSignature => true,
            Self::Broken
            | Self::Full
            | Self::NoAnswer
            | Self::Rejected(_)
            | Self::Unreachable
            | Self::Unresolved
            | Self::UnsupportedAlgorithm => false,
        }
    }
}

/// Whether an answer was signed by a key that the minion trusts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// Anybody can have sent it; it never ends the minion (CVE-2022-22935).
    Hint,
    /// Signed by the pinned master key over our nonce.
    Verified,
}
