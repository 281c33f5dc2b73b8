//! Life with one master: the channel for requests, the feed of publications, and what is told at
//! the start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::{SignedIn, request_options};
use super::channel::{Channel, Parts};
use super::clock::after;
use super::feed::{Feed, Keys, Order};
use super::greeting::Greeting;
use super::line::Question;
use super::notice::Notice;
use super::setup::Setup;
use crate::failover::{AttemptId, Position, ProbeId};
use crate::wire::msgpack::Value;
use crate::wire::request::Requests;

/// A session; its tasks end with it, but for the returns that are under way.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Arc<Channel>,
    feed: FeedHandle,
    greeting: Greeting,
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
    /// that is published meanwhile is missed, and with what that had still to tell the master.
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
        let (feed, greeting) = match signed_in.subscription {
            Some(subscription) => {
                let notices = || notices.clone();
                let greeting = Greeting::begin(setup, &channel, grains, notices());
                let (feed, orders) = Feed::new(Arc::clone(setup), subscription, keys, notices());
                let task = AbortOnDropHandle::new(tokio::spawn(feed.run()));
                let feed = FeedHandle {
                    orders,
                    _task: task,
                };
                (feed, greeting)
            }
            None => {
                let Self { feed, greeting, .. } = before?;
                feed.orders.try_send(Order::Rekey(Box::new(keys))).ok()?;
                greeting.go_on_with(&channel);
                (feed, greeting)
            }
        };
        Some(Self {
            channel,
            feed,
            greeting,
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
        let due = after(within);
        self.channel.ask(Question { probe, due });
        // A feed whose queue is full hangs, and so the probe is not answered, as it should be.
        let _ = self.feed.orders.try_send(Order::Probe { probe, within });
    }
}
