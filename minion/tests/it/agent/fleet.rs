//! Honest masters that one signing key vouches for, and minions that trust it.

use std::ops::Index;
use std::sync::Arc;
use std::time::Duration;

use minion::agent::{
    Agent, Ended, Identity, MasterState, Memory, Setup, SigningKey, Status, Store,
};
use minion::config;
use minion::failover::{MasterType, Settings};
use minion::verify::{Algorithm, PublicKey};
use minion::wire::envelope::Algorithms;
use minion::wire::private_key::{Encryption, PrivateKey};
use scripted_master::{Keypair, Master, Setup as MasterSetup};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::wire::capture::Capture;

/// Long enough that only a failing test waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The masters, by their place in the list.
pub(crate) struct Fleet {
    signer: Keypair,
    identity: Arc<Identity>,
    minion_key: String,
    masters: Vec<Option<Master>>,
    endpoints: Vec<config::Master>,
}

impl Fleet {
    /// Two masters at most. The keys are recorded ones: to make new ones takes longer than all the
    /// rest of a test.
    pub(crate) async fn new(count: usize) -> Self {
        let captures = ["3008.5", "3006.30"].map(|version| Capture::open(version, "job"));
        let signer = Keypair::from_pem(captures[0].text("master_sign_pem"));
        let mut masters = Vec::new();
        for capture in &captures[..count] {
            let key = Arc::new(Keypair::from_pem(capture.text("master_pem")));
            masters.push(Master::start(MasterSetup::new(&key, &signer)).await);
        }
        let named = masters.iter().enumerate().map(|(number, master)| {
            let at = master.request_address();
            config::Master {
                name: format!("master-{number}"),
                host: at.ip().to_string(),
                port: at.port().try_into().unwrap(),
            }
        });
        Self {
            identity: identity(&captures[0]),
            minion_key: captures[0].text("minion_pem").to_owned(),
            endpoints: named.collect(),
            masters: masters.into_iter().map(Some).collect(),
            signer,
        }
    }

    /// The key that vouches for the masters.
    pub(crate) fn signer(&self) -> &PublicKey {
        self.signer.public()
    }

    /// The minion's key.
    pub(crate) fn minion_key(&self) -> &str {
        &self.minion_key
    }

    /// Where the masters take requests, also those that were killed.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.endpoints
            .iter()
            .map(|master| format!("{}:{}", master.host, master.port))
    }

    /// A memory that trusts the signing key and has met nobody.
    pub(crate) fn store(&self) -> Arc<Memory> {
        Arc::new(Memory::new(vec![SigningKey {
            name: "master_sign.pub".to_owned(),
            key: self.signer.public().clone(),
        }]))
    }

    /// Starts a minion with all masters and waits until it works with the first.
    pub(crate) async fn minion(&self, change: impl FnOnce(&mut Setup)) -> Minion {
        let all: Vec<usize> = (0..self.endpoints.len()).collect();
        self.minion_of(&self.store(), &all, change).await
    }

    /// The same with some of the masters.
    pub(crate) async fn minion_of(
        &self,
        store: &Arc<Memory>,
        masters: &[usize],
        change: impl FnOnce(&mut Setup),
    ) -> Minion {
        let mut minion = self.begin(store, masters, change);
        minion.is_on(0).await;
        let first = &self[masters[0]];
        // It has told that it is there, so nothing is under way.
        first.until(|log| log.commands.len() >= 2).await;
        minion
    }

    /// The same without waiting for anything.
    pub(crate) fn begin(
        &self,
        store: &Arc<Memory>,
        masters: &[usize],
        change: impl FnOnce(&mut Setup),
    ) -> Minion {
        let failover = Settings {
            master_type: MasterType::Failover,
            auth_timeout: LONG,
            random_reauth_delay: Duration::ZERO,
            // One after the other, so that it is known whose turn it is.
            stagger: Duration::from_secs(3600),
            ..Settings::default()
        };
        let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
        let chosen = masters.iter().map(|at| self.endpoints[*at].clone());
        let identity = Arc::clone(&self.identity);
        let mut setup = Setup::new(identity, store, failover, chosen.collect());
        change(&mut setup);
        let agent = Agent::new(setup).unwrap();
        let stop = CancellationToken::new();
        Minion {
            status: agent.status(),
            task: tokio::spawn(agent.run(stop.clone())),
            stop,
        }
    }

    /// Ends a master with all its connections.
    pub(crate) fn kill(&mut self, number: usize) {
        self.masters[number] = None;
    }
}

impl Index<usize> for Fleet {
    type Output = Master;

    fn index(&self, number: usize) -> &Master {
        self.masters[number].as_ref().unwrap()
    }
}

/// A running minion.
pub(crate) struct Minion {
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
}

impl Minion {
    /// Waits until it works with this master.
    pub(crate) async fn is_on(&mut self, number: usize) {
        let there = |status: &Status| status.masters[number].state == MasterState::Connected;
        if timeout(LONG, self.status.wait_for(there)).await.is_err() {
            panic!("not on {number}: {:#?}", *self.status.borrow());
        }
    }

    /// What a master is to it.
    pub(crate) fn state(&self, number: usize) -> MasterState {
        self.status.borrow().masters[number].state
    }

    /// Tells it to stop, and how it ended.
    pub(crate) async fn end(self) -> Ended {
        assert!(!self.task.is_finished(), "it must not have ended by itself");
        self.stop.cancel();
        self.ended().await
    }

    /// Drops the future that it runs in.
    pub(crate) fn drop_it(self) {
        self.task.abort();
    }

    /// Waits until it ends by itself, and tells how.
    pub(crate) async fn ended(self) -> Ended {
        timeout(LONG, self.task).await.unwrap().unwrap()
    }
}

fn identity(capture: &Capture) -> Arc<Identity> {
    let key = PrivateKey::from_pem(capture.text("minion_pem").as_bytes()).unwrap();
    let algorithms = Algorithms {
        signing: Algorithm::Sha1,
        encryption: Encryption::Sha1,
    };
    let id = "minion".parse().unwrap();
    Arc::new(Identity::new(id, key, "minion.pem".into(), algorithms, None).unwrap())
}
