//! A SUB socket: what a master publishes, and whether it still lives.

use std::time::Duration;

use tokio::time::Instant;

use super::link::{Link, after};
use super::{Connect, Error, Stage};
use crate::zmtp::{Event, Identity, Publication, Socket};

/// A connection to a master's publish port.
#[derive(Debug)]
pub struct Subscription {
    link: Link,
    /// What arrived while a probe was under way.
    early: Option<Publication>,
}

impl Subscription {
    /// Connects, shakes hands and subscribes: to everything with the one empty prefix, or with
    /// `zmq_filtering` to Salt's topics.
    ///
    /// A publication that the master makes before it has read the subscriptions is not for us
    /// (RFC 29).
    ///
    /// # Errors
    ///
    /// [`Error::is_retryable`] tells whether to come back.
    pub async fn connect(
        options: &Connect,
        identity: Option<Identity>,
        prefixes: &[&[u8]],
    ) -> Result<Self, Error> {
        let mut link = options.run(Socket::Subscribe(identity)).await?;
        for prefix in prefixes {
            link.connection().subscribe(prefix)?;
        }
        link.flush()?;
        Ok(Self { link, early: None })
    }

    /// Waits for the next publication; meanwhile PINGs go both ways.
    ///
    /// # Errors
    ///
    /// Fails when the connection does: closed, silent for longer than the heartbeat allows, or
    /// broken. The caller decides when to connect again.
    pub async fn next(&mut self) -> Result<Publication, Error> {
        if let Some(publication) = self.early.take() {
            return Ok(publication);
        }
        loop {
            if let Event::Publication(publication) = self.link.event().await? {
                return Ok(publication);
            }
        }
    }

    /// Asks the peer's ZeroMQ whether it lives, and tells how long the sign of life took.
    ///
    /// A publication is one as well (RFC 37, "Connection Heartbeating"), and is kept for
    /// [`Subscription::next`].
    ///
    /// # Errors
    ///
    /// Fails if nothing at all has come within the deadline.
    pub async fn probe(&mut self, within: Duration) -> Result<Duration, Error> {
        let (start, deadline) = (Instant::now(), after(within));
        if self.early.is_some() {
            return Ok(Duration::ZERO);
        }
        let asked = self.link.ping()?;
        loop {
            let event = self.link.event_by(deadline, Stage::Probe, within);
            match event.await? {
                Event::Pong(context) if context == asked => return Ok(start.elapsed()),
                Event::Publication(publication) => {
                    self.early = Some(publication);
                    return Ok(start.elapsed());
                }
                Event::Ping { .. } | Event::Pong(_) | Event::Ready(_) | Event::Reply(_) => {}
            }
        }
    }

    /// How many of the peer's PINGs were answered so far.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.link.answered()
    }
}
