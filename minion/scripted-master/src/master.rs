//! The sockets, the state of an honest master, and the place where a script steps in.

mod connection;
mod exchange;
mod log;
mod script;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use minion::verify::{Algorithm, PublicKey};
use minion::wire::msgpack::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use exchange::{Exchange, foreign_answer};
pub use log::{Log, SignIn};
pub use script::{Answer, Gate, Step};

use super::keys::Keypair;
use super::publish::{Job, publication};
use super::reply::{Load, pack};
use super::seal::SharedKey;
use super::zmtp;
use connection::Outgoing;
use script::Script;

/// What a master is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The master's own key.
    pub key: Arc<Keypair>,
    /// The signatures of that key by `master_sign`: with SHA-1 and with SHA-224.
    pub pub_sigs: [String; 2],
    /// Where it listens.
    pub address: IpAddr,
    /// Its two ports, for requests and publications; 0 is any free one.
    pub ports: [u16; 2],
    /// How often it sends a PING; salt-master 3008 does so every ten seconds.
    pub heartbeat: Option<Duration>,
    /// `publish_signing_algorithm`.
    pub publishing: Algorithm,
    /// What it says first on a new connection for requests.
    pub hello: Hello,
}

/// What a new connection hears first.
#[derive(Clone, Debug)]
pub enum Hello {
    /// The greeting and the READY of a ROUTER.
    Router,
    /// Other bytes; none at all is silence.
    Other(Vec<u8>),
    /// A ROUTER's, one byte at a time.
    Trickle(Duration),
}

impl Setup {
    /// A master on 127.0.0.1 whose key `signer` has signed.
    #[must_use]
    pub fn new(key: &Arc<Keypair>, signer: &Keypair) -> Self {
        let pub_sigs = Algorithm::ALL.map(|algorithm| signer.pub_sig(algorithm, key.public()));
        Self {
            key: Arc::clone(key),
            pub_sigs,
            address: Ipv4Addr::LOCALHOST.into(),
            ports: [0, 0],
            heartbeat: None,
            publishing: Algorithm::Sha1,
            hello: Hello::Router,
        }
    }
}

/// What a master makes of an accepted minion's sign-in.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It lets the minion in.
    Accepted,
    /// `ret` with this value: true is pending, false is rejected, `full` is full.
    TurnedAway(Value),
}

/// A running master. It ends when it is dropped, with all its connections.
#[derive(Debug)]
pub struct Master {
    inner: Arc<Inner>,
    request_address: SocketAddr,
    publish_address: SocketAddr,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Inner {
    setup: Setup,
    publish_port: u16,
    state: Mutex<State>,
    log: watch::Sender<Log>,
    /// False while the process is stopped.
    running: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    aes: SharedKey,
    sessions: HashMap<String, SharedKey>,
    minions: HashMap<String, PublicKey>,
    serial: u64,
    verdict: Verdict,
    script: Script,
    connections: u64,
    /// The way to every peer, by the number of its connection.
    peers: HashMap<u64, mpsc::Sender<Outgoing>>,
    /// Those of them that have subscribed.
    subscribers: BTreeSet<u64>,
}

impl State {
    fn add_peer(&mut self, peer: mpsc::Sender<Outgoing>) -> u64 {
        self.connections += 1;
        self.peers.insert(self.connections, peer);
        self.connections
    }

    /// Forgets a peer and tells whether it had subscribed.
    fn remove_peer(&mut self, number: u64) -> bool {
        self.peers.remove(&number);
        self.subscribers.remove(&number)
    }

    fn audience(&self) -> Vec<mpsc::Sender<Outgoing>> {
        let subscribers = self.subscribers.iter();
        subscribers
            .filter_map(|number| self.peers.get(number).cloned())
            .collect()
    }
}

impl Master {
    /// Listens and answers from here on, on the runtime of the caller.
    pub async fn start(setup: Setup) -> Self {
        let [request, publish] = setup.ports;
        let request = TcpListener::bind((setup.address, request)).await.unwrap();
        let publish = TcpListener::bind((setup.address, publish)).await.unwrap();
        let request_address = request.local_addr().unwrap();
        let publish_address = publish.local_addr().unwrap();
        let inner = Arc::new(Inner {
            setup,
            publish_port: publish_address.port(),
            state: Mutex::new(State {
                aes: SharedKey::random(),
                sessions: HashMap::new(),
                minions: HashMap::new(),
                serial: 0,
                verdict: Verdict::Accepted,
                script: Script::default(),
                connections: 0,
                peers: HashMap::new(),
                subscribers: BTreeSet::new(),
            }),
            log: watch::Sender::default(),
            running: watch::Sender::new(true),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::clone(&inner), request, Port::Request));
        tasks.spawn(accept(Arc::clone(&inner), publish, Port::Publish));
        Self {
            inner,
            request_address,
            publish_address,
            _tasks: tasks,
        }
    }

    /// Where requests go.
    #[must_use]
    pub const fn request_address(&self) -> SocketAddr {
        self.request_address
    }

    /// Where it publishes.
    #[must_use]
    pub const fn publish_address(&self) -> SocketAddr {
        self.publish_address
    }

    /// The master's own key.
    #[must_use]
    pub fn key(&self) -> &Arc<Keypair> {
        &self.inner.setup.key
    }

    /// The key of its publications.
    #[must_use]
    pub fn aes(&self) -> SharedKey {
        self.inner.state().aes.clone()
    }

    /// The session key of a minion that has signed in.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<SharedKey> {
        self.inner.state().sessions.get(id).cloned()
    }

    /// What it makes of every sign-in from here on.
    pub fn decide(&self, verdict: Verdict) {
        self.inner.state().verdict = verdict;
    }

    /// What it answers from here on. The script sees every request and may leave it to the honest
    /// master.
    pub fn script(&self, script: impl Fn(&Exchange<'_>) -> Answer + Send + Sync + 'static) {
        self.inner.state().script = Script::new(script);
    }

    /// Does to its keys what a restart of a real master does: a new AES key, serials from one, and
    /// no session is known any more.
    pub fn forget_keys(&self) {
        let mut state = self.inner.state();
        state.aes = SharedKey::random();
        state.serial = 0;
        state.sessions.clear();
    }

    /// Stops or continues the process, as SIGSTOP and SIGCONT do: the system still accepts
    /// connections and takes bytes.
    pub fn set_running(&self, running: bool) {
        self.inner.running.send_replace(running);
    }

    /// Closes every connection there is.
    pub fn disconnect(&self) {
        self.inner.state().peers.clear();
    }

    /// Seals and signs a job as the next publication, without publishing it.
    #[must_use]
    pub fn next_publication(&self, job: Job) -> Load {
        let serial = self.next_serial();
        self.seal_publication(job.into_load(serial))
    }

    /// Seals and signs the load of a publication, whatever is in it.
    #[must_use]
    pub fn seal_publication(&self, load: Load) -> Load {
        let Setup {
            key, publishing, ..
        } = &self.inner.setup;
        publication(load, &self.aes(), key, *publishing)
    }

    /// The number of the next publication.
    #[must_use]
    pub fn next_serial(&self) -> u64 {
        let mut state = self.inner.state();
        state.serial += 1;
        state.serial
    }

    /// Publishes a job and tells to how many minions.
    pub async fn publish(&self, job: Job) -> usize {
        let body = pack(self.next_publication(job));
        self.publish_frames(&[&body]).await
    }

    /// Publishes these frames, whatever they are, and tells to how many minions. They are with the
    /// system when it returns.
    pub async fn publish_frames(&self, frames: &[&[u8]]) -> usize {
        self.publish_bytes(zmtp::message(frames)).await
    }

    /// Sends a PING to all who have subscribed; a PONG shows that they have read what came before.
    pub async fn ping_subscribers(&self) -> usize {
        let publications = self.read(|log| log.publications);
        let reached = self.publish_bytes(zmtp::ping(b"")).await;
        self.inner.note(|log| log.publications = publications);
        reached
    }

    /// Sends these bytes to all who have subscribed, whether or not they are a message.
    pub async fn publish_bytes(&self, bytes: Vec<u8>) -> usize {
        let audience = self.inner.state().audience();
        let mut reached = 0;
        for subscriber in audience {
            if connection::deliver(&subscriber, bytes.clone()).await {
                reached += 1;
            }
        }
        self.inner.note(|log| log.publications += 1);
        reached
    }

    /// What has happened so far.
    #[must_use]
    pub fn log(&self) -> Log {
        self.inner.log.borrow().clone()
    }

    /// The log as a channel, which outlives the master.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Log> {
        self.inner.log.subscribe()
    }

    /// The same without a copy, and whatever is made of it.
    pub fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.inner.log.borrow())
    }

    /// Waits until the log is as `reached` says.
    ///
    /// # Panics
    ///
    /// If it never is.
    pub async fn until(&self, reached: impl FnMut(&Log) -> bool) {
        let mut log = self.inner.log.subscribe();
        let waited = timeout(PATIENCE, log.wait_for(reached)).await;
        assert!(waited.is_ok(), "it did not come to that: {:#?}", self.log());
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, change: impl FnOnce(&mut Log)) {
        self.log.send_modify(change);
    }
}

/// Long enough that only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Publish,
    Request,
}

/// Takes connections until the master is dropped.
async fn accept(inner: Arc<Inner>, listener: TcpListener, port: Port) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        connections.spawn(connection::serve(Arc::clone(&inner), stream, port));
        while connections.try_join_next().is_some() {}
    }
}
