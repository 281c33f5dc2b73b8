//! A TCP stream and the ZMTP state over it.
//!
//! It waits for readiness and then moves bytes without waiting, so that a caller who is dropped in
//! between loses none, and the read buffer is on the stack only while it is used.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Error, Stage};
use crate::zmtp::{Connection, Context, Event, Heartbeat, Pulse, Rhythm, Socket};

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    connection: Connection,
    heartbeat: Heartbeat,
    /// The number of our latest PING, which is its context.
    pings: u64,
    /// How many of the peer's PINGs were answered.
    answered: u64,
}

impl Link {
    pub(super) fn new(stream: TcpStream, socket: Socket, rhythm: Rhythm) -> Self {
        Self {
            stream,
            connection: Connection::new(socket),
            heartbeat: Heartbeat::new(rhythm, Instant::now().into_std()),
            pings: 0,
            answered: 0,
        }
    }

    pub(super) const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) const fn answered(&self) -> u64 {
        self.answered
    }

    /// The next event. Answers the peer's PINGs and sends our own meanwhile.
    pub(super) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.connection.poll()? {
                self.heartbeat.heard(Instant::now().into_std());
                if let Event::Ping { ttl } = event {
                    self.heartbeat.set_ttl(ttl);
                    self.note_answer();
                }
                return Ok(event);
            }
            match self.heartbeat.pulse(Instant::now().into_std()) {
                Pulse::Ask => {
                    // Before the handshake is over it can't be sent; the connection's deadline
                    // holds.
                    let _ = self.ping();
                    self.heartbeat.asked(Instant::now().into_std());
                }
                // It may be us who slept: what has arrived meanwhile speaks for the peer.
                Pulse::Dead(_) if self.has_unread()? => self.turn().await?,
                Pulse::Dead(silence) => return Err(Error::Silent(silence)),
                Pulse::Wait(until) => {
                    // Past it the pulse says what is due.
                    if let Ok(moved) = timeout_at(until.into(), self.turn()).await {
                        moved?;
                    }
                }
            }
        }
    }

    /// The number is the connection's own, so that a log shows whether it was always the same one.
    fn note_answer(&mut self) {
        self.answered = self.answered.saturating_add(1);
        if tracing::enabled!(target: "minion::net", tracing::Level::TRACE)
            && let Ok(peer) = self.stream.peer_addr()
        {
            let number = self.answered;
            tracing::trace!(target: "minion::net", "PING {number} of {peer} is answered");
        }
    }

    /// Sends a PING and gives its context.
    pub(super) fn ping(&mut self) -> Result<Context, Error> {
        self.pings = self.pings.wrapping_add(1);
        let context = Context::from(self.pings);
        self.connection.ping(Duration::ZERO, &context)?;
        Ok(context)
    }

    /// The same as [`Link::event`], with a deadline.
    pub(super) async fn event_by(
        &mut self,
        deadline: Instant,
        stage: Stage,
        within: Duration,
    ) -> Result<Event, Error> {
        timeout_at(deadline, self.event())
            .await
            .map_err(|_| Error::Late { stage, within })?
    }

    /// Waits until bytes can move, and moves them.
    async fn turn(&mut self) -> Result<(), Error> {
        let interest = if self.connection.output().is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = self.stream.ready(interest).await.map_err(broken)?;
        if ready.is_writable() {
            self.flush()?;
        }
        if ready.is_readable() {
            self.read()?;
        }
        Ok(())
    }

    /// Sends what the system takes at once; the rest leaves with the next wait.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        while !self.connection.output().is_empty() {
            match moved(self.stream.try_write(self.connection.output()))? {
                Some(count) => self.connection.sent(count),
                None => break,
            }
        }
        Ok(())
    }

    /// Reads once: the events in it come before the next bytes.
    fn read(&mut self) -> Result<(), Error> {
        let mut chunk = [0; CHUNK];
        match moved(self.stream.try_read(&mut chunk))? {
            Some(0) => Err(Error::Closed),
            Some(count) => {
                self.connection
                    .receive(chunk.get(..count).unwrap_or_default());
                self.heartbeat.heard(Instant::now().into_std());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Asks the system itself, because the runtime may not have looked since we slept.
    fn has_unread(&self) -> Result<bool, Error> {
        let mut byte = [MaybeUninit::uninit()];
        moved(SockRef::from(&self.stream).peek(&mut byte)).map(|count| count.is_some())
    }
}

/// The moment by which something is late. A year is as good as never, and can be represented.
pub(super) fn after(within: Duration) -> Instant {
    (Instant::now().into_std() + within.min(YEAR)).into()
}

/// What a call that doesn't wait has moved: nothing if it would have had to wait.
fn moved(result: io::Result<usize>) -> Result<Option<usize>, Error> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(broken(error)),
    }
}

/// A reset is how a killed peer closes; it is told apart from faults of our own side.
fn broken(source: io::Error) -> Error {
    match source.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {
            Error::Closed
        }
        _ => Error::Transfer { source },
    }
}

/// A sign-in reply or a usual publication in one read; larger ones take several.
const CHUNK: usize = 16 << 10;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
