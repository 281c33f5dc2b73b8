//! The owner of a session's subscription: opens what the master publishes and answers for its
//! publisher being alive.
//!
//! A publication under another AES key is kept until the session is renewed, since it is authentic
//! and a master does not publish it twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::caught::caught;
use super::channel::Channel;
use super::notice::{Half, Notice, PANICKED};
use super::setup::Setup;
use super::speak::chain;
use crate::failover::ProbeId;
use crate::net::{Error, Subscription};
use crate::verify::Algorithm;
use crate::wire::crypticle::{Crypticle, OpenError};
use crate::wire::publish::{PublicationError, Publications};

/// What the driver wants of the owner.
#[derive(Debug)]
pub(super) enum Order {
    /// Say whether the publisher lives.
    Probe { probe: ProbeId, within: Duration },
    /// The session was renewed.
    Rekey(Box<Keys>),
}

/// What opens a master's publications.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) aes: Crypticle,
    /// Where the return of what is published goes.
    pub(super) channel: Arc<Channel>,
    /// The serial that was reached under this AES key before, if it was known then.
    pub(super) last_serial: Option<u64>,
}

impl Keys {
    /// `reached` is a serial that was reached since the last one was looked up.
    fn split(self, algorithm: Algorithm, reached: Option<u64>) -> (Publications, Arc<Channel>) {
        let last_serial = self.last_serial.max(reached);
        let master = self.channel.key.clone();
        let publications = Publications::new(self.aes, master, algorithm, last_serial);
        (publications, self.channel)
    }
}

/// The state of the owner.
#[derive(Debug)]
pub(super) struct Feed {
    setup: Arc<Setup>,
    channel: Arc<Channel>,
    subscription: Subscription,
    publications: Publications,
    /// Publications under a key that we do not have yet.
    sealed: VecDeque<Vec<u8>>,
    /// How many were refused since one was last warned of, and when that was.
    refused: (u64, Option<Instant>),
    orders: mpsc::Receiver<Order>,
    notices: mpsc::Sender<Notice>,
}

impl Feed {
    pub(super) fn new(
        setup: Arc<Setup>,
        subscription: Subscription,
        keys: Keys,
        notices: mpsc::Sender<Notice>,
    ) -> (Self, mpsc::Sender<Order>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (publications, channel) = keys.split(setup.publications, None);
        let feed = Self {
            publications,
            channel,
            setup,
            subscription,
            sealed: VecDeque::new(),
            refused: (0, None),
            orders,
            notices,
        };
        (feed, sender)
    }

    /// Reads until the connection or the session ends.
    pub(super) async fn run(mut self) {
        let why = match caught(self.read()).await {
            Some(None) => return,
            Some(Some(error)) => chain(&error),
            None => PANICKED.to_owned(),
        };
        // Who renews the session from here on finds no feed. Who has done so already knows it by its
        // new name, under which its loss must be told.
        self.orders.close();
        while let Some(order) = self.orders.recv().await {
            if let Order::Rekey(keys) = order {
                self.channel = Arc::clone(&keys.channel);
                let _ = caught(self.rekey(*keys)).await;
            }
        }
        let attempt = self.channel.attempt;
        // Whoever has no ear for it has ended.
        let _ = self.notices.send(Notice::Gone { attempt, why }).await;
    }

    /// Nothing if it was the session that ended.
    async fn read(&mut self) -> Option<Error> {
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    if let Err(error) = self.obey(order?).await {
                        return Some(error);
                    }
                }
                next = self.subscription.next() => match next {
                    Ok(publication) => self.open(publication.payload, true).await,
                    Err(error) => return Some(error),
                }
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Probe { probe, within } => match self.subscription.probe(within).await {
                Ok(_) => {
                    let half = Half::Publisher;
                    let _ = self.notices.send(Notice::Alive { probe, half }).await;
                    Ok(())
                }
                // The machine has its own deadline and draws the conclusion.
                Err(Error::Late { .. }) => Ok(()),
                Err(error) => Err(error),
            },
            Order::Rekey(keys) => {
                self.rekey(*keys).await;
                Ok(())
            }
        }
    }

    async fn rekey(&mut self, keys: Keys) {
        let same = keys.aes.id() == self.publications.key() && keys.channel.key == self.channel.key;
        let reached = self.publications.last_serial().filter(|_| same);
        (self.publications, self.channel) = keys.split(self.setup.publications, reached);
        for body in std::mem::take(&mut self.sealed) {
            self.open(body, false).await;
        }
    }

    /// Keeps a publication for the new keys, and lets go of the oldest if there are too many.
    fn keep(&mut self, body: Vec<u8>) {
        self.sealed.push_back(body);
        while self.sealed.len() > SEALED
            || self.sealed.iter().map(Vec::len).sum::<usize>() > SEALED_BYTES
        {
            self.sealed.pop_front();
            tracing::warn!(
                target: "minion::agent",
                "more than {SEALED} publications or {SEALED_BYTES} bytes of them wait for the \
                 master's new key; the oldest is dropped"
            );
        }
    }

    /// Opens a publication and hands it on; `again` is whether new keys may open it if these do
    /// not.
    async fn open(&mut self, body: Vec<u8>, again: bool) {
        match self.publications.open(&body) {
            Ok(publication) => {
                let serial = publication.serial;
                let aes = self.publications.key();
                let store = &self.setup.store;
                if let Err(error) = store.remember_serial(&self.channel.key, aes, serial) {
                    tracing::error!(
                        target: "minion::agent",
                        "the serial {serial} could not be written down, so this publication may \
                         be replayed after a restart: {error}"
                    );
                }
                let publication = Box::new(publication);
                let notice = Notice::Published {
                    channel: Arc::clone(&self.channel),
                    publication,
                };
                let _ = self.notices.send(notice).await;
            }
            Err(PublicationError::Open(OpenError::Sealed)) if again => {
                self.keep(body);
                let attempt = self.channel.attempt;
                let _ = self.notices.send(Notice::KeysRefused { attempt }).await;
            }
            Err(error) => self.refused(&error),
        }
    }
}

impl Feed {
    /// Whoever sits on the path to a master can send any number of these, and must not fill a disk
    /// with warnings.
    fn refused(&mut self, error: &PublicationError) {
        let (count, warned) = self.refused;
        if warned.is_some_and(|at| at.elapsed() < WARNED) {
            self.refused = (count.saturating_add(1), warned);
            tracing::trace!(target: "minion::agent", "{}", chain(error));
            return;
        }
        let more = match count {
            0 => String::new(),
            _ => format!(" ({count} more were refused before it)"),
        };
        tracing::warn!(target: "minion::agent", "{}{more}", chain(error));
        self.refused = (0, Some(Instant::now()));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let left = self.sealed.len();
        if left > 0 {
            tracing::warn!(
                target: "minion::agent",
                "{left} publications under a new key of the master were never opened: the session \
                 ended before it was renewed"
            );
        }
    }
}

/// One warning about refused publications within this.
const WARNED: Duration = Duration::from_secs(10);

/// A probe and a renewal at most are under way.
const ORDERS: usize = 4;

/// Publications that wait for a renewal, which takes `random_reauth_delay` at most: a master that
/// publishes more than six a second under a new key is not one that people type at.
const SEALED: usize = 64;

/// And how many bytes of them: they are signed but may be anything, also what the master published
/// under an earlier key and somebody plays again.
const SEALED_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests;
