//! A REQ socket: one request at a time, and none after a failure.
//!
//! A late reply must never be taken for the answer to the next request, and the protocol has no
//! number to tell them apart. So an exchange consumes the socket and gives it back with the reply:
//! a socket that timed out can't be used again, because it is gone.

use std::time::Duration;

use tokio::time::Instant;

use super::link::{Link, after};
use super::{Connect, Error, Stage};
use crate::zmtp::{self, Event, Socket};

/// A connection to a master's request port.
#[derive(Debug)]
pub struct Request {
    link: Link,
}

impl Request {
    /// Connects and shakes hands.
    ///
    /// # Errors
    ///
    /// [`Error::is_retryable`] tells whether to come back.
    pub async fn connect(options: &Connect) -> Result<Self, Error> {
        let link = options.run(Socket::Request).await?;
        Ok(Self { link })
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    ///
    /// After any error the peer may or may not have seen the request. Dropping the future gives up
    /// the wait and the connection, not what the peer does with the request.
    pub async fn exchange(
        mut self,
        body: &[u8],
        within: Duration,
    ) -> Result<(Vec<u8>, Self), Error> {
        self.link.connection().request(body)?;
        let deadline = after(within);
        loop {
            let event = self.link.event_by(deadline, Stage::Reply, within);
            if let Event::Reply(reply) = event.await? {
                return Ok((reply, self));
            }
        }
    }

    /// Asks the peer's ZeroMQ whether it lives, and tells how long the answer took.
    ///
    /// # Errors
    ///
    /// Fails if nothing at all has come within the deadline.
    pub async fn probe(&mut self, within: Duration) -> Result<Duration, Error> {
        let (start, deadline) = (Instant::now(), after(within));
        let asked = self.link.ping()?;
        loop {
            let event = self.link.event_by(deadline, Stage::Probe, within);
            match event.await? {
                Event::Pong(context) if context == asked => return Ok(start.elapsed()),
                Event::Ping { .. } | Event::Pong(_) => {}
                Event::Publication(_) | Event::Ready(_) | Event::Reply(_) => {
                    return Err(zmtp::Error::OutOfTurn.into());
                }
            }
        }
    }

    /// Keeps an idle connection alive until it fails: answers the peer's PINGs, which a 3008 master
    /// sends every ten seconds, and sends our own. Drop the future to make an exchange.
    pub async fn idle(&mut self) -> Error {
        loop {
            if let Err(error) = self.link.event().await {
                return error;
            }
        }
    }

    /// How many of the peer's PINGs were answered so far.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.link.answered()
    }
}
