//! A minion as a part of any program: it finds a master, verifies it, hears it, answers it, and
//! finds another when that one is lost.
//!
//! [`failover`](crate::failover) decides and the agent acts: it resolves names, connects, signs in,
//! subscribes, runs jobs and tells the machine what became of it. One task drives one machine and
//! waits for nobody; every connection has a task of its own that owns it. In the order of the data:
//! an attempt signs in, a session has a line for requests and a feed of publications, a job is run
//! and its return delivered.
//!
//! A thousand agents fit into one process: an idle one holds two connections, four small tasks and
//! no buffers, and [`Identity`] may be shared.

mod attempt;
mod board;
mod caught;
mod channel;
mod clock;
mod driver;
mod examine;
mod feed;
mod greeting;
mod line;
mod notice;
mod outcome;
mod random;
mod resolve;
mod session;
mod setup;
mod speak;
mod status;
mod store;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use examine::{Found, Verdict, examine};
pub use random::NoRandomness;
pub use setup::{Handler, Identity, Setup, Stock};
pub use status::{MasterState, MasterStatus, Status};
pub use store::{Memory, SigningKey, Store};

use driver::Driver;
use speak::Line;
use work::Running;

use crate::failover::{Exit, Level, MasterType, Policy, PolicyError, Position};
use crate::jobs::Seen;
use crate::wire::msgpack::Value;
use crate::wire::publish::Jid;

/// One minion.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    policies: Vec<Policy>,
}

impl Agent {
    /// Checks the setup; nothing is contacted yet.
    ///
    /// # Errors
    ///
    /// Names what does not fit together. Trying again does not help.
    pub fn new(mut setup: Setup) -> Result<Self, PolicyError> {
        let names = setup.masters.iter().map(|master| master.name.clone());
        setup.failover.masters = names.collect();
        let policies = setup.failover.policies()?;
        let id = setup.identity.id().as_str();
        let status = board::blank(id, &setup.failover.masters);
        let shared = Shared {
            status: watch::Sender::new(status),
            running: Arc::new(Running::default()),
            seen: Mutex::new(Seen::new(setup.jobs_remembered)),
            grace: GRACE,
            setup: Arc::new(setup),
        };
        Ok(Self {
            shared: Arc::new(shared),
            policies,
        })
    }

    /// What the agent is doing, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// Works until told to stop, or until there is no point in going on.
    ///
    /// With several masters and `master_type: str` it goes on as long as one of them is worth
    /// asking. A job that is under way when `stop` comes has a few seconds to return.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let mut drivers = JoinSet::new();
        // Stops them all if one of them fails.
        let halt = stop.child_token();
        for policy in self.policies {
            let Ok(seed) = random::seed() else {
                return Ended::NoRandomness;
            };
            let driver = Driver::new(Arc::clone(&self.shared));
            drivers.spawn(driver.run(policy, seed, halt.clone()));
        }
        if drivers.is_empty() {
            // `master_type: disable`: there is nobody to talk to, and that is as it should be.
            stop.cancelled().await;
        }
        let mut last = Ended::Stopped;
        while let Some(ended) = drivers.join_next().await {
            match ended {
                Ok(Some(exit)) if last != Ended::Failed => last = Ended::GaveUp(exit),
                Ok(_) => {}
                // Without its driver a master is served by nobody: whoever started this agent may
                // start another.
                Err(_) => {
                    Line::new(Level::Critical, "The minion ends by a bug of its own").say();
                    last = Ended::Failed;
                    halt.cancel();
                }
            }
        }
        if stop.is_cancelled() && last != Ended::Failed {
            Ended::Stopped
        } else {
            last
        }
    }
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// By a bug: one of its tasks panicked.
    Failed,
    /// There was no point in going on.
    GaveUp(Exit),
    /// It could not begin: there is no randomness.
    NoRandomness,
    /// It was told to.
    Stopped,
}

/// What all drivers of one agent share.
#[derive(Debug)]
struct Shared {
    setup: Arc<Setup>,
    status: watch::Sender<Status>,
    running: Arc<Running>,
    seen: Mutex<Seen>,
    /// How long jobs under way have at the end.
    grace: Duration,
}

impl Shared {
    /// A master's name as configured.
    fn name(&self, master: Position) -> &str {
        let masters = &self.setup.masters;
        masters.get(master.index()).map_or("", |one| &one.name)
    }

    /// Whether no master published the job before.
    fn is_new(&self, jid: &Jid) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_new(jid)
    }

    /// Whether at most one master is worked with.
    fn is_exclusive(&self) -> bool {
        self.setup.failover.master_type == MasterType::Failover
    }

    /// The grains while this master is worked with: its name is one of them.
    fn grains_at(&self, master: Position) -> Arc<Value> {
        let name = Value::from(self.name(master));
        let key = Value::from("master");
        let Value::Map(grains) = &*self.setup.grains else {
            return Arc::clone(&self.setup.grains);
        };
        let told = grains.iter().find(|(grain, _)| *grain == key);
        if told.is_none_or(|(_, value)| *value == name) {
            return Arc::clone(&self.setup.grains);
        }
        let mut grains = grains.clone();
        for (grain, value) in &mut grains {
            if *grain == key {
                value.clone_from(&name);
            }
        }
        Arc::new(Value::Map(grains))
    }
}

/// How long returns under way have at the end: a master that answers does so within a second.
const GRACE: Duration = Duration::from_secs(5);
