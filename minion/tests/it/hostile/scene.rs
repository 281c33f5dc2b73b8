//! A hostile master first in the list and a good one behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::num::NonZeroU16;

use minion::config;
use minion::verify::Algorithm;
use minion::wire::private_key::Encryption;
use scripted_master::master::SignIn;
use scripted_master::reply::pack;
use scripted_master::{Answer, Exchange, Job, Load, Master, Setup, Step};

use super::keys::keys;
use super::minion::{LONG, Minion, Witness, Written, identity};

/// How well the minion knows the hostile master when it meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It has never seen it.
    First,
    /// It knows the very key that the master shows.
    Known,
    /// It knows another key of the same master.
    Changed,
}

impl Contact {
    /// How often a whole handshake uses the private key: for the AES key, for the session key, and
    /// for the token if the master could read it.
    pub(super) const fn decryptions(self) -> u64 {
        match self {
            Self::Known => 3,
            Self::First | Self::Changed => 2,
        }
    }

    /// What a minion remembers then.
    pub(super) fn memory(self, scene: &Scene) -> Witness {
        let key = match self {
            Self::First => return Witness::new(),
            Self::Known => &keys().hostile,
            Self::Changed => &keys().former,
        };
        Witness::new().knowing(&configured("", &scene.hostile), key.public())
    }
}

/// One wrong answer to a sign-in.
pub(super) struct Fault {
    pub(super) answer: Box<dyn Fn(&Exchange<'_>) -> Answer + Send + Sync>,
    /// Some of what the minion says about it.
    pub(super) says: String,
    /// How often the minion's private key is used for it.
    pub(super) decryptions: u64,
}

impl Fault {
    /// Steps of any kind, refused before the private key is used.
    pub(super) fn steps(
        says: impl Into<String>,
        steps: impl Fn(&Exchange<'_>) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Box::new(move |exchange| Answer::Steps(steps(exchange))),
            says: says.into(),
            decryptions: 0,
        }
    }

    /// An answer of these bytes.
    pub(super) fn reply(
        says: impl Into<String>,
        reply: impl Fn(&Exchange<'_>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::steps(says, move |exchange| vec![Step::Reply(reply(exchange))])
    }

    /// The honest load with a change that the master signs.
    pub(super) fn load(
        says: impl Into<String>,
        change: impl Fn(&mut Load, &Exchange<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::reply(says, move |exchange| {
            let mut load = exchange.load();
            change(&mut load, exchange);
            pack(exchange.sign(load))
        })
    }

    /// The honest, signed answer with a change to its envelope.
    pub(super) fn outer(
        says: impl Into<String>,
        change: impl Fn(&mut Load, &Exchange<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::reply(says, move |exchange| {
            let mut outer = exchange.sign(exchange.load());
            change(&mut outer, exchange);
            pack(outer)
        })
    }

    /// The same fault, found only after the private key was used so often.
    pub(super) fn after(self, decryptions: u64) -> Self {
        Self {
            decryptions,
            ..self
        }
    }
}

/// The two masters.
pub(super) struct Scene {
    pub(super) hostile: Master,
    pub(super) good: Master,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(Setup::new(&keys().hostile, &keys().signer)).await
    }

    /// A hostile master of another make.
    pub(super) async fn with(hostile: Setup) -> Self {
        Self {
            hostile: Master::start(hostile).await,
            good: Master::start(Setup::new(&keys().good, &keys().signer)).await,
        }
    }

    /// The list: the hostile master under so many names, then the good one.
    pub(super) fn masters(&self, count: usize) -> Vec<config::Master> {
        let names = (0..count).map(hostile_name);
        let hostile = names.map(|name| configured(&name, &self.hostile));
        hostile.chain([configured(GOOD, &self.good)]).collect()
    }

    /// Answers the minion's sign-ins by these faults, one after the other; everything else, and
    /// whatever comes after them, honestly.
    pub(super) fn script(&self, faults: &Arc<Vec<Fault>>) {
        let (next, faults) = (AtomicU64::new(0), Arc::clone(faults));
        self.hostile.script(move |exchange| {
            if exchange.auth().is_none() {
                return Answer::Honest;
            }
            let number = next.fetch_add(1, Ordering::SeqCst);
            let fault = usize::try_from(number).ok().and_then(|at| faults.get(at));
            fault.map_or(Answer::Honest, |fault| (fault.answer)(exchange))
        });
    }
}

/// The good master's name.
pub(super) const GOOD: &str = "good";

pub(super) fn hostile_name(number: usize) -> String {
    format!("hostile-{number}")
}

pub(super) fn configured(name: &str, master: &Master) -> config::Master {
    let address = master.request_address();
    config::Master {
        name: name.to_owned(),
        host: address.ip().to_string(),
        port: NonZeroU16::new(address.port()).unwrap(),
    }
}

/// Each fault turns the minion away: it says why, uses its private key only where it must, writes
/// nothing down, and gets to the good master, for whom it works.
pub(super) async fn turns_away(contact: Contact, faults: Vec<Fault>) {
    let scene = Scene::new().await;
    let memory = contact.memory(&scene);
    turns_away_by(scene, memory, faults).await;
}

pub(super) async fn turns_away_by(scene: Scene, memory: Witness, faults: Vec<Fault>) {
    turns_away_as((Algorithm::Sha1, Encryption::Sha1), scene, memory, faults).await;
}

/// The same by a minion of the stronger algorithms.
pub(super) async fn turns_away_with_sha224(contact: Contact, faults: Vec<Fault>) {
    let scene = Scene::new().await;
    let memory = contact.memory(&scene);
    let stronger = (Algorithm::Sha224, Encryption::Sha224);
    turns_away_as(stronger, scene, memory, faults).await;
}

async fn turns_away_as(
    (signing, encryption): (Algorithm, Encryption),
    scene: Scene,
    memory: Witness,
    faults: Vec<Fault>,
) {
    let faults = Arc::new(faults);
    scene.script(&faults);
    let masters = scene.masters(faults.len());
    let mut minion = Minion::start(&Arc::new(memory), masters, |setup| {
        setup.identity = identity(signing, encryption);
    });
    assert_eq!(minion.connected().await, GOOD);

    for (number, fault) in faults.iter().enumerate() {
        let said = minion.outcome(number);
        let told = said.matches(&fault.says).count();
        assert_eq!(told, 1, "{number}: {said:?}, not once {:?}", fault.says);
        // What a stranger sends does not fill the log, nor forge a line of it.
        assert!(
            said.len() < 512 && !said.contains('\n'),
            "{number}: {said:?}"
        );
    }
    let log = scene.hostile.log();
    let count = faults.len();
    assert_eq!(
        (log.faults, log.sign_ins.len()),
        (count as u64, count),
        "each fault was reached"
    );
    let asked = [encryption.name(), signing.name()];
    let same = |one: &SignIn| one.version == 3 && one.algorithms == asked;
    assert!(log.sign_ins.iter().all(same), "asked for less");
    assert_eq!(
        (log.subscribed, log.commands.len(), log.bad_loads),
        (0, 0, 0)
    );
    let questions: u64 = faults.iter().map(|fault| fault.decryptions).sum();
    let with_good = Contact::First.decryptions();
    assert_eq!(minion.decryptions(), questions + with_good, "private key");
    works_for_the_good_master(&scene, &minion).await;
    minion.end().await;
}

/// The minion is on the good master, which is all that it has written down, and runs its job.
pub(super) async fn works_for_the_good_master(scene: &Scene, minion: &Minion) {
    let name = configured(GOOD, &scene.good).endpoint();
    let pin = (name, keys().good.public().hash());
    assert_eq!(minion.store.pinned_since(), [pin]);
    scene.good.until(|log| log.subscribed == 1).await;
    let jid = "20261125000000000001";
    assert_eq!(scene.good.publish(Job::ping(jid)).await, 1);
    within_reason(scene.good.until(|log| log.returned(jid))).await;
    assert_eq!(minion.jobs.ran(), [jid]);
    assert_eq!(minion.current().as_deref(), Some(GOOD));
    let own = |one: &Written| match one {
        Written::Pin { key, .. } | Written::Serial { key, .. } => {
            *key == keys().good.public().hash()
        }
    };
    assert!(minion.store.written().iter().all(own));
}

/// Waits, but not for ever.
pub(super) async fn within_reason<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, event).await.unwrap()
}
