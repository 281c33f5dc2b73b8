//! Salt's options, checked once and turned into what the machine needs.
//!
//! `master_type: str` with a list means all of them at once. That is not one machine with several
//! current masters but several machines with one each, so [`Settings::policies`] returns a list,
//! and no machine can have two.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::{Backoff, halved};

/// The options under Salt's names; the default is Salt 3008.5's, and ours where Salt has no such
/// option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long a pending minion waits before it asks again, and the longest first wait between
    /// rounds.
    pub acceptance_wait_time: Duration,
    /// The wait doubles up to this; none keeps it as it is. A master that has no time for an answer
    /// is left alone longer and longer in any case, for 80 s at most if this is not more.
    pub acceptance_wait_time_max: Option<Duration>,
    /// Rounds in which a master merely did not answer do not count for `master_tries`.
    pub auth_safemode: bool,
    /// How long one attempt may take.
    pub auth_timeout: Duration,
    /// How often an unanswered attempt is made per round; with failover always once, as in Salt.
    pub auth_tries: u32,
    /// Ours: the window over which sign-ins after a loss are spread. A second for each 300 minions
    /// that a master has is right (a real one answers four hundred); the default is none, because a
    /// small fleet wants its master back at once.
    pub loss_spread: Duration,
    /// The master is taken for lost within this and a second after its last sign of life; none
    /// does not probe.
    pub master_alive_interval: Option<Duration>,
    /// Go back to the first master of the list when it accepts again.
    pub master_failback: bool,
    /// How often to ask the first master; none is `master_alive_interval`, and without that there
    /// is no failback.
    pub master_failback_interval: Option<Duration>,
    /// How many rounds over the list before giving up; none goes on for ever.
    pub master_tries: Option<NonZeroU32>,
    /// What to do with several masters.
    pub master_type: MasterType,
    /// The masters, as configured.
    pub masters: Vec<String>,
    /// Ours: what to do at a master that does not know the minion yet.
    pub pending: PendingRule,
    /// Shuffle the list at the start and at each failover (`master_shuffle` is the old name).
    pub random_master: bool,
    /// The window over which sign-ins after a key rotation, and the end of the process, are
    /// spread.
    pub random_reauth_delay: Duration,
    /// Go on when every master has rejected the minion.
    pub rejected_retry: bool,
    /// How often to look an unknown name up again; failover does not wait and tries the next
    /// master.
    pub retry_dns: Option<Duration>,
    /// How often to look up before giving up; none goes on for ever.
    pub retry_dns_count: Option<u32>,
    /// Ours: how long a master may keep the next one waiting.
    pub stagger: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            acceptance_wait_time: Duration::from_secs(10),
            acceptance_wait_time_max: None,
            auth_safemode: false,
            auth_timeout: Duration::from_secs(5),
            auth_tries: 7,
            loss_spread: Duration::ZERO,
            master_alive_interval: None,
            master_failback: false,
            master_failback_interval: None,
            master_tries: None,
            master_type: MasterType::Str,
            masters: vec!["salt".to_owned()],
            pending: PendingRule::Stay,
            random_master: false,
            random_reauth_delay: Duration::from_secs(10),
            rejected_retry: false,
            retry_dns: Some(Duration::from_secs(30)),
            retry_dns_count: None,
            stagger: Duration::from_millis(500),
        }
    }
}

impl Settings {
    /// One policy for each machine to run: one over all masters with failover, one per master with
    /// `str`, none with `disable`.
    ///
    /// # Errors
    ///
    /// Names the option that cannot be honoured. Trying again does not help.
    pub fn policies(&self) -> Result<Vec<Policy>, PolicyError> {
        if self.master_type == MasterType::Disable {
            return Ok(Vec::new());
        }
        if self.masters.is_empty() {
            return Err(PolicyError::NoMaster);
        }
        if self.masters.iter().any(|name| name.trim().is_empty()) {
            return Err(PolicyError::EmptyName);
        }
        if self.auth_timeout.is_zero() {
            return Err(PolicyError::NoTimeToAuthenticate);
        }
        let named = self.masters.iter().enumerate();
        let masters = named.map(|(at, name)| (Position(at), Arc::from(name.as_str())));
        Ok(match self.master_type {
            MasterType::Failover => vec![self.policy(masters.collect())],
            MasterType::Disable => Vec::new(),
            MasterType::Str => masters.map(|master| self.policy(vec![master])).collect(),
        })
    }

    fn policy(&self, masters: Vec<(Position, Arc<str>)>) -> Policy {
        let failover = self.master_type == MasterType::Failover;
        let alive = self.master_alive_interval.filter(|every| !every.is_zero());
        let own = self
            .master_failback_interval
            .filter(|every| !every.is_zero());
        let look_up = self.retry_dns.filter(|every| !every.is_zero() && !failover);
        let wait = self.acceptance_wait_time.max(SHORTEST_WAIT);
        let cap = self.acceptance_wait_time_max.unwrap_or_default().max(wait);
        Policy {
            acceptance: Backoff::new(wait, cap),
            auth_timeout: self.auth_timeout,
            crowd: Backoff::new(wait, cap.max(CROWD)),
            auth_tries: if failover { 1 } else { self.auth_tries.max(1) },
            failback: own.or(alive).filter(|_| self.master_failback && failover),
            keeps_first: self.master_failback && failover,
            loss_spread: self.loss_spread,
            master_tries: self.master_tries,
            masters,
            pending: self.pending,
            probe: alive.map(|every| Probing::new(every, self.auth_timeout)),
            reauth_spread: self.random_reauth_delay,
            rejected_retry: self.rejected_retry,
            rest: Backoff::new(SHORTEST_WAIT, cap),
            retry_dns: look_up.map(|every| Backoff::new(every, every)),
            retry_dns_count: self.retry_dns_count,
            safemode: self.auth_safemode,
            shuffle: self.random_master,
            stagger: self.stagger,
        }
    }
}

/// How several masters are used (`master_type`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MasterType {
    /// No master at all.
    Disable,
    /// One at a time, and the next when it is lost.
    Failover,
    /// All of them at once.
    Str,
}

/// What to do at a master that does not know the minion yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PendingRule {
    /// Ask the others too, and wait only if none of them knows the minion.
    MoveOn,
    /// Stay and ask again, as the tutorial says and Salt does.
    Stay,
}

/// A master's place in the configured list, from zero; it stays the same however the order of
/// trying changes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(usize);

impl Position {
    /// The first of the list: where failback goes.
    pub const FIRST: Self = Self(0);

    /// The index into the configured list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Checked options of one machine; only [`Settings::policies`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    pub(super) acceptance: Backoff,
    pub(super) auth_timeout: Duration,
    pub(super) auth_tries: u32,
    pub(super) crowd: Backoff,
    pub(super) failback: Option<Duration>,
    pub(super) keeps_first: bool,
    pub(super) loss_spread: Duration,
    pub(super) master_tries: Option<NonZeroU32>,
    pub(super) masters: Vec<(Position, Arc<str>)>,
    pub(super) pending: PendingRule,
    pub(super) probe: Option<Probing>,
    pub(super) reauth_spread: Duration,
    pub(super) rejected_retry: bool,
    pub(super) rest: Backoff,
    pub(super) retry_dns: Option<Backoff>,
    pub(super) retry_dns_count: Option<u32>,
    pub(super) safemode: bool,
    pub(super) shuffle: bool,
    pub(super) stagger: Duration,
}

/// When to probe, and how long an answer may take.
///
/// A master that hangs just after an answer is noticed one period and one timeout later, so the two
/// add up to `master_alive_interval` and nearly a second. The timeout gets as much of that as an answer
/// may need (`auth_timeout`), but half at most: a master that is merely busy must not be taken for
/// a dead one by its whole fleet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Probing {
    pub(super) period: Duration,
    pub(super) timeout: Duration,
}

impl Probing {
    fn new(every: Duration, patience: Duration) -> Self {
        let whole = every.saturating_add(GRACE);
        let timeout = patience.min(halved(every).saturating_add(GRACE));
        Self {
            period: whole.saturating_sub(timeout),
            timeout,
        }
    }
}

/// Why options make no policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// A master without a name.
    #[error("an entry of master is empty")]
    EmptyName,
    /// Nothing to connect to.
    #[error("master is empty; set master_type: disable to run without one")]
    NoMaster,
    /// Every attempt would be over before it began.
    #[error("auth_timeout is zero")]
    NoTimeToAuthenticate,
}

/// What a master gets on top of `master_alive_interval` before it is taken for lost: a second, less
/// what a busy machine needs to wake us and to say so.
const GRACE: Duration = Duration::from_millis(900);

/// How long the wait after an unanswered question may become: ten thousand minions that ask once in
/// forty to eighty seconds are 170 a second, where a real master on two cores answers four hundred.
const CROWD: Duration = Duration::from_secs(80);

/// No wait between rounds begins shorter; Salt's `recon_default`.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
