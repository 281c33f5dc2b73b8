//! Life with one master: the channel for requests, the feed of publications, and what is told at
//! the start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{interval_at, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::{SignedIn, request_options};
use super::channel::{CallError, Channel, Parts};
use super::clock::{after, ascii_time};
use super::feed::{Feed, Keys, Order};
use super::line::Question;
use super::notice::Notice;
use super::setup::Setup;
use super::speak::{Line, chain};
use crate::failover::{AttemptId, Level, Position, ProbeId};
use crate::wire::msgpack::Value;
use crate::wire::request::{Command, Requests};

/// A session; its tasks end with it, but for the returns that are under way.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Arc<Channel>,
    feed: FeedHandle,
    /// Tells the master that we are here, once and then as often as `ping_interval` says.
    _greeting: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct FeedHandle {
    orders: mpsc::Sender<Order>,
    _task: AbortOnDropHandle<()>,
}

/// Which session begins.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) attempt: AttemptId,
    pub(super) master: Position,
    pub(super) signed_in: SignedIn,
    /// What the master is told about the host.
    pub(super) grains: Arc<Value>,
}

impl Session {
    /// Begins a session. A renewal goes on with the feed of the session before, so that nothing
    /// that is published meanwhile is missed.
    ///
    /// Fails only if a renewal finds no session to renew.
    pub(super) fn begin(
        setup: &Arc<Setup>,
        beginning: Beginning,
        before: Option<Self>,
        notices: &mpsc::Sender<Notice>,
    ) -> Option<Self> {
        let Beginning {
            attempt,
            master,
            signed_in,
            grains,
        } = beginning;
        let channel = Channel::open(Parts {
            attempt,
            master,
            key: signed_in.session.master,
            publisher: signed_in.publisher,
            requests: Requests::new(signed_in.session.session, &setup.identity.as_wire()),
            request: signed_in.request,
            options: request_options(setup, signed_in.address, setup.failover.auth_timeout),
            notices: notices.clone(),
        });
        let keys = Keys {
            aes: signed_in.session.aes,
            channel: Arc::clone(&channel),
            last_serial: signed_in.last_serial,
        };
        let (feed, greet) = match signed_in.subscription {
            Some(subscription) => {
                let setup = Arc::clone(setup);
                let (feed, orders) = Feed::new(setup, subscription, keys, notices.clone());
                let task = AbortOnDropHandle::new(tokio::spawn(feed.run()));
                (
                    FeedHandle {
                        orders,
                        _task: task,
                    },
                    true,
                )
            }
            None => {
                let feed = before?.feed;
                feed.orders.try_send(Order::Rekey(Box::new(keys))).ok()?;
                (feed, false)
            }
        };
        let greeting = Greeting {
            setup: Arc::clone(setup),
            channel: Arc::clone(&channel),
            notices: notices.clone(),
            grains,
        };
        Some(Self {
            channel,
            feed,
            _greeting: AbortOnDropHandle::new(tokio::spawn(greeting.run(greet))),
        })
    }

    /// The attempt that began it.
    pub(super) fn attempt(&self) -> AttemptId {
        self.channel.attempt
    }

    /// Where it is subscribed.
    pub(super) fn publisher(&self) -> SocketAddr {
        self.channel.publisher
    }

    /// Asks both services of the master for a sign of life.
    pub(super) fn probe(&self, probe: ProbeId, within: Duration) {
        self.channel.ask(Question { probe, within });
        // A feed whose queue is full hangs, and so the probe is not answered, as it should be.
        let _ = self.feed.orders.try_send(Order::Probe { probe, within });
    }
}

/// What tells the master that the minion is here.
struct Greeting {
    setup: Arc<Setup>,
    channel: Arc<Channel>,
    grains: Arc<Value>,
    notices: mpsc::Sender<Notice>,
}

impl Greeting {
    async fn run(self, greet: bool) {
        let id = self.setup.identity.id();
        if greet {
            // Salt 3008.5, salt/minion.py, Minion._fire_master_minion_start.
            let data = format!("Minion {id} started at {}", ascii_time());
            if self.setup.legacy_start_event {
                self.fire("minion_start", &data).await;
            }
            self.fire(&format!("salt/minion/{id}/start"), &data).await;
            Line::new(Level::Info, "Minion is ready to receive requests!").say();
        }
        let grains = async {
            if greet && self.setup.tell_grains {
                // An idle session keeps no room for it.
                Box::pin(self.tell_grains()).await;
            }
        };
        tokio::join!(grains, self.live());
    }

    /// Tells that the minion lives, whatever becomes of the grains meanwhile.
    async fn live(&self) {
        let Some(every) = self.setup.ping_interval.filter(|every| !every.is_zero()) else {
            return;
        };
        let mut ticks = interval_at(after(every), every);
        // The agent that nobody drives any more has ended.
        while !self.notices.is_closed() {
            ticks.tick().await;
            // Salt 3008.5, salt/minion.py, Minion.tune_in, ping_master.
            self.fire("minion_ping", "ping").await;
        }
    }

    /// Salt 3008.5, `salt/channel/client.py`, `_send_with_retry`. A try there ends by its timeout
    /// alone, for ZeroMQ connects anew meanwhile; so one that fails earlier waits here for that, and
    /// nobody besets a master that closes its connections.
    async fn tell_grains(&self) {
        let command = Command::Pillar {
            grains: Value::clone(&self.grains),
        };
        let within = self.setup.returns.request_timeout;
        let mut left = self.setup.returns.request_tries;
        loop {
            left = left.saturating_sub(1);
            let end = after(within);
            let Err(error) = self.channel.tell(&command, within).await else {
                return;
            };
            let why = chain(&error);
            if left == 0 || !error.is_transient() {
                tracing::warn!(
                    target: "minion::agent",
                    "the grains did not reach the master, so salt -G may not find this minion: \
                     {why}"
                );
                return self.tell_if_stale(&error).await;
            }
            tracing::debug!(
                target: "minion::agent",
                "the grains did not reach the master and are told again: {why}"
            );
            sleep_until(end).await;
        }
    }

    async fn fire(&self, tag: &str, data: &str) {
        let event = Command::Event {
            tag: tag.to_owned(),
            data: Value::from(data),
        };
        let within = self.setup.returns.request_timeout;
        if let Err(error) = self.channel.call(&event, within).await {
            tracing::warn!(
                target: "minion::agent",
                "the event {tag} did not reach the master: {}",
                chain(&error)
            );
            self.tell_if_stale(&error).await;
        }
    }

    async fn tell_if_stale(&self, error: &CallError) {
        if error.is_stale() {
            let attempt = self.channel.attempt;
            let _ = self.notices.send(Notice::KeysRefused { attempt }).await;
        }
    }
}
