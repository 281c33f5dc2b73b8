//! What an agent is told: who it is, whom it trusts, which masters there are and what it can do.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::random::{NoRandomness, bytes};
use super::store::Store;
use crate::config::{Master, Network, Returns};
use crate::failover::{Random, Settings};
use crate::jobs::{self, Answer, Context};
use crate::verify::{Algorithm, Fingerprint};
use crate::wire::auth::{self, Token};
use crate::wire::envelope::Algorithms;
use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;
use crate::wire::private_key::PrivateKey;
use crate::wire::publish::Publication;
use crate::zmtp::Rhythm;

/// Everything that [`Agent::run`](super::Agent::run) needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who signs in.
    pub identity: Arc<Identity>,
    /// What is trusted and what is remembered.
    pub store: Arc<dyn Store>,
    /// `master_finger`, if that is configured.
    pub finger: Option<Fingerprint>,
    /// `hash_type`: the hash of `key.finger` where a job names none.
    pub hash_type: String,
    /// How a master is chosen. Its list of names is not looked at.
    pub failover: Settings,
    /// The masters, in the order of the configuration.
    pub masters: Vec<Master>,
    /// How they are reached.
    pub network: Network,
    /// `publish_port`, if it is set to override what the masters say.
    pub publish_port: Option<NonZeroU16>,
    /// When a silent connection is asked whether it lives, and when it is given up.
    pub rhythm: Rhythm,
    /// How long a master has for a request, and how often a return is tried.
    pub returns: Returns,
    /// The hash of publications' signatures: the masters' `publish_signing_algorithm`.
    pub publications: Algorithm,
    /// How many jobs are known again when they are published twice (`minion_jid_queue_hwm`).
    pub jobs_remembered: u32,
    /// Whether the start is told under its old name too (`enable_legacy_startup_events`).
    pub legacy_start_event: bool,
    /// Whether each master is told the grains, so that `salt -G` finds this minion. It is done by
    /// asking for the pillar, which costs the master what it costs for a stock minion.
    pub tell_grains: bool,
    /// How often an event says that the minion is alive (`ping_interval`).
    pub ping_interval: Option<Duration>,
    /// How often the revoked keys are read anew while a session lasts. A master whose key is
    /// revoked is left within this, not at its next sign-in.
    pub revocation_interval: Duration,
    /// What targets and jobs see of the host.
    pub grains: Arc<Value>,
    /// What runs the jobs.
    pub handler: Arc<dyn Handler>,
}

impl Setup {
    /// A setup with Salt's defaults for all that has one.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        store: Arc<dyn Store>,
        failover: Settings,
        masters: Vec<Master>,
    ) -> Self {
        Self {
            identity,
            store,
            finger: None,
            hash_type: "sha256".to_owned(),
            failover,
            masters,
            network: Network::default(),
            publish_port: None,
            rhythm: RHYTHM,
            returns: Returns::default(),
            publications: Algorithm::Sha1,
            jobs_remembered: 100,
            legacy_start_event: true,
            tell_grains: false,
            ping_interval: None,
            revocation_interval: REVOCATION_INTERVAL,
            grains: Arc::new(Value::Map(Vec::new())),
            handler: Arc::new(Stock),
        }
    }

    /// How long one try of a return may take: between `return_retry_timer` and
    /// `return_retry_timer_max`.
    pub(super) fn patience(&self, random: &mut Random) -> Duration {
        let returns = self.returns;
        let width = returns.retry_timer_max.saturating_sub(returns.retry_timer);
        returns.retry_timer.saturating_add(random.within(width))
    }
}

/// Who signs in. Many agents of one process may share one.
#[derive(Debug)]
pub struct Identity {
    id: MinionId,
    key: PrivateKey,
    token: Token,
    algorithms: Algorithms,
    autosign_grains: Option<Value>,
    key_path: PathBuf,
}

impl Identity {
    /// Joins a minion's id and key; `key_path` is named in the log.
    ///
    /// # Errors
    ///
    /// Fails if there is no randomness for the token.
    pub fn new(
        id: MinionId,
        key: PrivateKey,
        key_path: PathBuf,
        algorithms: Algorithms,
        autosign_grains: Option<Value>,
    ) -> Result<Self, NoRandomness> {
        Ok(Self {
            id,
            key,
            token: Token::new(&bytes()?),
            algorithms,
            autosign_grains,
            key_path,
        })
    }

    /// The minion's id.
    #[must_use]
    pub const fn id(&self) -> &MinionId {
        &self.id
    }

    /// The minion's key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Where the key is, for the log.
    #[must_use]
    pub const fn key_path(&self) -> &PathBuf {
        &self.key_path
    }

    /// What signs in.
    pub(super) const fn as_wire(&self) -> auth::Identity<'_> {
        auth::Identity {
            id: &self.id,
            key: &self.key,
            token: &self.token,
            algorithms: self.algorithms,
            autosign_grains: self.autosign_grains.as_ref(),
        }
    }
}

/// What runs the jobs that are meant for the minion.
pub trait Handler: fmt::Debug + Send + Sync {
    /// Runs a job as far as its context allows. It must not block: it is called on the agent's own
    /// thread.
    fn run(&self, job: &Publication, context: &Context<'_>) -> Answer;
}

/// The functions of [`crate::jobs`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock;

impl Handler for Stock {
    fn run(&self, job: &Publication, context: &Context<'_>) -> Answer {
        jobs::run(job, context)
    }
}

/// A silent connection is found dead after half a minute also without `master_alive_interval`: a
/// stock minion leaves that to the keepalive of TCP, which takes a quarter of an hour.
const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_secs(15),
    patience: Duration::from_secs(15),
};

/// An operator who revokes a key wants it gone while he watches; the list is a small local file.
const REVOCATION_INTERVAL: Duration = Duration::from_secs(10);
