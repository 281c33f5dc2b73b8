//! The minion under attack, and what it did: what it wrote, which jobs it ran, what it thinks of
//! its masters.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use minion::agent::{
    Agent, Ended, Handler, Identity, MasterState, Setup, SigningKey, Status, Stock, Store,
};
use minion::config::{Master, MasterName};
use minion::failover::{Exit, MasterType, Settings};
use minion::jobs::{Answer, Context};
use minion::verify::{Algorithm, KeyHash, PublicKey};
use minion::wire::crypticle::KeyId;
use minion::wire::envelope::Algorithms;
use minion::wire::private_key::{Encryption, PrivateKey};
use minion::wire::publish::Publication;
use scripted_master::Keypair;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::keys::keys;

/// What the minion calls itself.
pub(super) const ID: &str = "minion.example.org";

/// Long enough that only a failing test waits for it.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A running minion.
pub(super) struct Minion<S = Witness> {
    pub(super) store: Arc<S>,
    pub(super) identity: Arc<Identity>,
    pub(super) jobs: Arc<Jobs>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
}

impl<S: Store + 'static> Minion<S> {
    /// Starts one with these masters.
    pub(super) fn start(
        store: &Arc<S>,
        masters: Vec<Master>,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        count_panics();
        let identity = identity(Algorithm::Sha1, Encryption::Sha1);
        let jobs = Arc::new(Jobs::default());
        let failover = Settings {
            master_type: MasterType::Failover,
            // One after the other, so that it is known whose turn it is.
            stagger: Duration::from_secs(3600),
            auth_timeout: LONG,
            random_reauth_delay: Duration::ZERO,
            ..Settings::default()
        };
        let trusted: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
        let mut setup = Setup::new(identity, trusted, failover, masters);
        setup.handler = Arc::clone(&jobs) as Arc<dyn Handler>;
        change(&mut setup);
        let identity = Arc::clone(&setup.identity);
        let agent = Agent::new(setup).unwrap();
        let stop = CancellationToken::new();
        Self {
            store: Arc::clone(store),
            identity,
            jobs,
            status: agent.status(),
            task: tokio::spawn(agent.run(stop.clone())),
            stop,
        }
    }

    /// Waits until it works with a master and tells which.
    pub(super) async fn connected(&mut self) -> String {
        let has_one = |status: &Status| status.current().next().is_some();
        self.waits_for(has_one, "a master").await;
        self.current().unwrap()
    }

    /// Waits until it works with this master.
    pub(super) async fn is_on(&mut self, name: &str) {
        let there = |status: &Status| name_of_current(status).as_deref() == Some(name);
        self.waits_for(there, name).await;
    }

    /// Waits until the last attempt at this master has ended in these words.
    pub(super) async fn says(&mut self, master: usize, words: &str) {
        let said = |status: &Status| outcome(status, master).contains(words);
        self.waits_for(said, words).await;
    }

    async fn waits_for(&mut self, state: impl FnMut(&Status) -> bool, what: &str) {
        let come = timeout(LONG, self.status.wait_for(state)).await.is_ok();
        assert!(come, "not {what}: {:#?}", *self.status.borrow());
    }

    /// Which master it works with.
    pub(super) fn current(&self) -> Option<String> {
        name_of_current(&self.status.borrow())
    }

    /// How the last attempt at a master ended.
    pub(super) fn outcome(&self, master: usize) -> String {
        outcome(&self.status.borrow(), master)
    }

    /// What a master is to it.
    pub(super) fn state(&self, master: usize) -> MasterState {
        self.status.borrow().masters[master].state
    }

    /// How often its private key was used for a master.
    pub(super) fn decryptions(&self) -> u64 {
        self.identity.key().decryptions()
    }

    /// Waits until it gives up because no master wants it.
    pub(super) async fn has_no_permission(self) {
        let ended = timeout(LONG, self.task).await.unwrap().unwrap();
        assert_eq!(ended, Ended::GaveUp(Exit::NoPermission));
    }

    /// Ends it, and holds that nothing panicked meanwhile.
    pub(super) async fn end(self) {
        assert!(!self.task.is_finished(), "it must not have ended by itself");
        self.stop.cancel();
        let ended = timeout(LONG, self.task).await.unwrap().unwrap();
        assert_eq!(ended, Ended::Stopped);
        assert_eq!(PANICS.get(), 0, "a task has panicked");
    }
}

fn name_of_current(status: &Status) -> Option<String> {
    status.current().next().map(|master| master.name.clone())
}

fn outcome(status: &Status, master: usize) -> String {
    status.masters[master]
        .last_outcome
        .clone()
        .unwrap_or_default()
}

/// The minion with these algorithms.
pub(super) fn identity(signing: Algorithm, encryption: Encryption) -> Arc<Identity> {
    let algorithms = Algorithms {
        signing,
        encryption,
    };
    named(ID, &keys().minion, algorithms)
}

/// Another minion of the same masters.
pub(super) fn neighbour() -> Arc<Identity> {
    let algorithms = Algorithms {
        signing: Algorithm::Sha1,
        encryption: Encryption::Sha1,
    };
    named("neighbour.example.org", &keys().neighbour, algorithms)
}

fn named(id: &str, key: &Keypair, algorithms: Algorithms) -> Arc<Identity> {
    let key = PrivateKey::from_pem(&key.to_pem()).unwrap();
    let path = "minion.pem".into();
    Arc::new(Identity::new(id.parse().unwrap(), key, path, algorithms, None).unwrap())
}

/// The minion's memory, and everything that was ever written to it, in order.
#[derive(Debug)]
pub(super) struct Witness {
    signing_keys: Vec<SigningKey>,
    revoked: BTreeSet<KeyHash>,
    pins: Mutex<BTreeMap<MasterName, PublicKey>>,
    serials: Mutex<BTreeMap<(KeyHash, String), u64>>,
    written: Mutex<Vec<Written>>,
}

/// Something that the minion wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Pin { master: MasterName, key: KeyHash },
    Serial { key: KeyHash, serial: u64 },
}

impl Witness {
    /// Trusts the fleet's signing key and has met nobody.
    pub(super) fn new() -> Self {
        Self {
            signing_keys: vec![SigningKey {
                name: "master_sign.pub".to_owned(),
                key: keys().signer.public().clone(),
            }],
            revoked: BTreeSet::new(),
            pins: Mutex::default(),
            serials: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Trusts these signing keys instead.
    pub(super) fn trusting(self, signing_keys: Vec<SigningKey>) -> Self {
        Self {
            signing_keys,
            ..self
        }
    }

    /// Has met this master with this key.
    pub(super) fn knowing(self, master: &Master, key: &PublicKey) -> Self {
        let mut pins = self.pins.lock().unwrap();
        pins.insert(master.endpoint(), key.clone());
        drop(pins);
        self
    }

    /// Does not believe this key, whoever signed it.
    pub(super) fn without(mut self, key: &PublicKey) -> Self {
        self.revoked.insert(key.hash());
        self
    }

    pub(super) fn written(&self) -> Vec<Written> {
        self.written.lock().unwrap().clone()
    }

    /// The keys that were pinned since the start, with the names of their masters.
    pub(super) fn pinned_since(&self) -> Vec<(MasterName, KeyHash)> {
        let pins = self.written().into_iter().filter_map(|one| match one {
            Written::Pin { master, key } => Some((master, key)),
            Written::Serial { .. } => None,
        });
        pins.collect()
    }
}

impl Store for Witness {
    fn signing_keys(&self) -> io::Result<Vec<SigningKey>> {
        Ok(self.signing_keys.clone())
    }

    fn revoked(&self) -> io::Result<BTreeSet<KeyHash>> {
        Ok(self.revoked.clone())
    }

    fn pinned(&self, master: &MasterName) -> io::Result<Option<PublicKey>> {
        Ok(self.pins.lock().unwrap().get(master).cloned())
    }

    fn pin(&self, master: &MasterName, key: &PublicKey) -> io::Result<()> {
        let pin = Written::Pin {
            master: master.clone(),
            key: key.hash(),
        };
        self.written.lock().unwrap().push(pin);
        let mut pins = self.pins.lock().unwrap();
        pins.insert(master.clone(), key.clone());
        Ok(())
    }

    fn serial(&self, master: &PublicKey, aes: KeyId) -> io::Result<Option<u64>> {
        let serials = self.serials.lock().unwrap();
        Ok(serials.get(&(master.hash(), aes.to_string())).copied())
    }

    fn remember_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> io::Result<()> {
        let reached = Written::Serial {
            key: master.hash(),
            serial,
        };
        self.written.lock().unwrap().push(reached);
        let mut serials = self.serials.lock().unwrap();
        serials.insert((master.hash(), aes.to_string()), serial);
        Ok(())
    }
}

/// The stock functions, and which jobs they were called for.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<Vec<String>>);

impl Jobs {
    /// The names of the jobs that ran.
    pub(super) fn ran(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Handler for Jobs {
    fn run(&self, job: &Publication, context: &Context<'_>) -> Answer {
        self.0.lock().unwrap().push(job.jid.as_str().to_owned());
        Stock.run(job, context)
    }
}

thread_local! {
    /// How often something panicked on this thread, which is the runtime's too.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}
