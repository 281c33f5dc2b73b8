//! An agent with a bug: whichever of its tasks panics, somebody hears of it.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minion::agent::{Ended, Handler, MasterState, Memory, SigningKey, Stock, Store};
use minion::config::MasterName;
use minion::jobs::{Answer as Answered, Context};
use minion::verify::{KeyHash, PublicKey};
use minion::wire::crypticle::KeyId;
use minion::wire::msgpack::Value;
use minion::wire::publish::Publication;
use scripted_master::request::{Request, text};
use scripted_master::{Answer, Job, Step};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::fleet::Fleet;
use super::{JID, OTHER};

/// Where the bug is; it shows once.
#[derive(Debug)]
struct Buggy {
    memory: Arc<Memory>,
    in_serials: AtomicBool,
    in_revoked: AtomicBool,
}

impl Buggy {
    fn new(memory: &Arc<Memory>) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            in_serials: AtomicBool::new(false),
            in_revoked: AtomicBool::new(false),
        })
    }
}

impl Store for Buggy {
    fn signing_keys(&self) -> io::Result<Vec<SigningKey>> {
        self.memory.signing_keys()
    }

    fn revoked(&self) -> io::Result<BTreeSet<KeyHash>> {
        assert!(!self.in_revoked.swap(false, Ordering::Relaxed), "a bug");
        self.memory.revoked()
    }

    fn pinned(&self, master: &MasterName) -> io::Result<Option<PublicKey>> {
        self.memory.pinned(master)
    }

    fn pin(&self, master: &MasterName, key: &PublicKey) -> io::Result<()> {
        self.memory.pin(master, key)
    }

    fn serial(&self, master: &PublicKey, aes: KeyId) -> io::Result<Option<u64>> {
        self.memory.serial(master, aes)
    }

    fn remember_serial(&self, master: &PublicKey, aes: KeyId, serial: u64) -> io::Result<()> {
        assert!(!self.in_serials.swap(false, Ordering::Relaxed), "a bug");
        self.memory.remember_serial(master, aes, serial)
    }
}

#[tokio::test]
async fn a_feed_that_panics_is_a_lost_master() {
    let fleet = Fleet::new(2).await;
    let memory = fleet.store();
    let buggy = Buggy::new(&memory);
    let store: Arc<dyn Store> = Arc::clone(&buggy) as Arc<dyn Store>;
    let mut minion = fleet
        .minion_of(&memory, &[0, 1], |setup| setup.store = store)
        .await;
    buggy.in_serials.store(true, Ordering::Relaxed);
    fleet[0].publish(Job::ping(JID)).await;
    minion.is_on(1).await;
    assert!(!buggy.in_serials.load(Ordering::Relaxed), "it panicked");
    fleet[1].publish(Job::ping(OTHER)).await;
    fleet[1].until(|log| log.returned(OTHER)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_line_that_panics_is_a_lost_master() {
    let fleet = Fleet::new(2).await;
    let log = Arc::new(AtomicBool::new(false));
    let subscriber = tracing_subscriber::registry().with(Fragile(Arc::clone(&log)));
    let _log = tracing::subscriber::set_default(subscriber);
    let mut minion = fleet
        .minion(|setup| {
            setup.failover.master_alive_interval = Some(std::time::Duration::from_millis(50));
        })
        .await;
    // The line says that this is no pong, and panics at its log.
    fleet[0].script(|exchange| match exchange.request {
        Request::Ping => Answer::Steps(vec![Step::Reply(b"\xc0".to_vec())]),
        Request::Auth(_) | Request::Sealed(_) | Request::Unreadable => Answer::Honest,
    });
    minion.is_on(1).await;
    assert!(log.load(Ordering::Relaxed), "it panicked");
    assert_eq!(minion.state(0), MasterState::Lost);
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn an_agent_whose_driver_panics_has_failed() {
    let fleet = Fleet::new(1).await;
    let memory = fleet.store();
    let buggy = Buggy::new(&memory);
    let store: Arc<dyn Store> = Arc::clone(&buggy) as Arc<dyn Store>;
    let minion = fleet
        .minion_of(&memory, &[0], |setup| {
            setup.store = store;
            setup.revocation_interval = std::time::Duration::from_millis(20);
        })
        .await;
    buggy.in_revoked.store(true, Ordering::Relaxed);
    assert_eq!(minion.ended().await, Ended::Failed);
}

/// Runs everything but one job.
#[derive(Debug)]
struct Picky;

impl Handler for Picky {
    fn run(&self, job: &Publication, context: &Context<'_>) -> Answered {
        assert_ne!(job.jid.as_str(), JID, "a bug");
        Stock.run(job, context)
    }
}

#[tokio::test]
async fn a_job_that_panics_is_returned_as_an_error() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|setup| setup.handler = Arc::new(Picky)).await;
    for jid in [JID, OTHER] {
        fleet[0].publish(Job::ping(jid)).await;
        fleet[0].until(|log| log.returned(jid)).await;
    }
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| {
        let returned = |jid| {
            let mut commands = log.commands.iter();
            let load = commands.find(|load| text(load, "jid") == Some(jid));
            let field = |name: &str| {
                let mut fields = load.unwrap().iter();
                fields
                    .find(|(key, _)| *key == name.into())
                    .unwrap()
                    .1
                    .clone()
            };
            (field("return"), field("retcode"), field("success"))
        };
        let words = "The minion function caused an exception: the minion has a bug, and its \
                     standard error says where";
        let error = (words.into(), Value::Unsigned(1), Value::Bool(false));
        assert_eq!(returned(JID), error);
        let ok = (Value::Bool(true), Value::Unsigned(0), Value::Bool(true));
        assert_eq!(returned(OTHER), ok);
    });
}

/// A log that panics at one line, once.
struct Fragile(Arc<AtomicBool>);

impl<S: tracing::Subscriber> Layer<S> for Fragile {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == "the answer to ping is not ping" {
            assert!(self.0.swap(true, Ordering::Relaxed), "a bug");
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
