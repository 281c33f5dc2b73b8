//! One connection from the first byte to the last.
//!
//! The caller moves bytes ([`Connection::receive`], [`Connection::output`]) and asks for events; it
//! decides alone when to read, so a peer that publishes faster than we work is held up by TCP and
//! not by our memory. Both buffers are given back when they are empty: most connections are idle
//! most of the time, and there may be thousands in one process.

use std::mem;
use std::time::Duration;

use super::command::{self, Command, Context, Identity};
use super::error::printable;
use super::frame::{self, Header, Kind};
use super::greeting::{self, Version};
use super::{COMMAND_LIMIT, Error, FRAMES_LIMIT, MESSAGE_LIMIT, PONG_LIMIT};

/// What we are towards the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// REQ: a request, then its reply, then the next (RFC 28).
    Request,
    /// SUB, perhaps with an identity (RFC 29).
    Subscribe(Option<Identity>),
}

impl Socket {
    /// Our socket type, and those that can serve it (RFC 37, "The Socket-Type Property").
    const fn types(&self) -> (&'static str, [&'static [u8]; 2]) {
        match self {
            Self::Request => ("REQ", [b"REP", b"ROUTER"]),
            Self::Subscribe(_) => ("SUB", [b"PUB", b"XPUB"]),
        }
    }
}

/// What a connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer asked whether we live; the answer is in the output already.
    Ping {
        /// The peer wants to be given up if it isn't heard for this long; zero means nothing.
        ttl: Duration,
    },
    /// The answer to our PING with this context.
    Pong(Context),
    /// A publication, on a SUB socket.
    Publication(Publication),
    /// The handshake is over.
    Ready(Version),
    /// The reply, on a REQ socket.
    Reply(Vec<u8>),
}

/// What a publisher sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Publication {
    /// The first of two frames: Salt has one with `zmq_filtering` and none without.
    pub topic: Option<Vec<u8>>,
    /// The only or the second frame.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topic = self.topic.as_deref().map(printable);
        let size = self.payload.len();
        write!(f, "Publication(topic {topic:?}, {size} bytes)")
    }
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    state: State,
    input: Vec<u8>,
    /// How much of the input is done with.
    read: usize,
    output: Vec<u8>,
    /// How much of the output is gone.
    written: usize,
    /// How much of the output may be PONGs.
    pongs: usize,
    /// The frames so far of a message that goes on.
    frames: Vec<Vec<u8>>,
    /// Whether a reply is due.
    asked: bool,
}

#[derive(Debug)]
enum State {
    Failed(Error),
    Greeting,
    Handshake(Version),
    Traffic(Version),
}

impl Connection {
    /// A connection that was just made: greeting and READY are in the output.
    ///
    /// They go out together, without waiting for the peer's greeting, which saves a round trip; a
    /// peer for which the READY would be wrong is one that we refuse.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        let mut output = greeting::encode().to_vec();
        let identity = match &socket {
            Socket::Request => None,
            Socket::Subscribe(identity) => identity.as_ref(),
        };
        command::write_ready(socket.types().0, identity, &mut output);
        Self {
            socket,
            state: State::Greeting,
            input: Vec::new(),
            read: 0,
            output,
            written: 0,
            pongs: 0,
            frames: Vec::new(),
            asked: false,
        }
    }

    /// Takes bytes from the peer. Ask [`Connection::poll`] until it has no more before the next.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next event, if there is one in what was received.
    ///
    /// # Errors
    ///
    /// Any error is the end: it is told again at each further call.
    pub fn poll(&mut self) -> Result<Option<Event>, Error> {
        let result = self.advance();
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        if !matches!(result, Ok(Some(_))) {
            self.give_back_input();
        }
        result
    }

    /// What must be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Notes that so many bytes of the output were sent.
    pub fn sent(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.output.len() {
            self.output = Vec::new();
            self.written = 0;
            self.pongs = 0;
        }
    }

    /// Sends a request behind the empty delimiter (RFC 28).
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTurn`] on a SUB socket, before the handshake is over, or before the reply to
    /// the previous request; the connection itself is none the worse.
    pub fn request(&mut self, body: &[u8]) -> Result<(), Error> {
        self.version()?;
        if self.asked || self.socket != Socket::Request {
            return Err(Error::OutOfTurn);
        }
        self.asked = true;
        frame::encode(Kind::More, &[], &mut self.output);
        frame::encode(Kind::Last, &[body], &mut self.output);
        Ok(())
    }

    /// Subscribes to what starts with `prefix`; the empty one is everything.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTurn`] on a REQ socket or before the handshake is over: only then is it known
    /// whether the peer wants a command or, in ZMTP 3.0, a message (RFC 23).
    pub fn subscribe(&mut self, prefix: &[u8]) -> Result<(), Error> {
        let version = self.version()?;
        if self.socket == Socket::Request {
            return Err(Error::OutOfTurn);
        }
        if version.has_subscribe_command() {
            command::write_subscribe(prefix, &mut self.output);
        } else {
            frame::encode(Kind::Last, &[&[1], prefix], &mut self.output);
        }
        Ok(())
    }

    /// Asks whether the peer lives, and tells it to give us up if it hears nothing for `ttl`.
    ///
    /// ZMTP 3.0 has no PING, but libzmq 4.2, which speaks it, answers; a peer that doesn't know
    /// the command ignores it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTurn`] before the handshake is over.
    pub fn ping(&mut self, ttl: Duration, context: &Context) -> Result<(), Error> {
        self.version()?;
        command::write_ping(ttl, context, &mut self.output);
        Ok(())
    }

    fn version(&self) -> Result<Version, Error> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Greeting | State::Handshake(_) => Err(Error::OutOfTurn),
            State::Traffic(version) => Ok(*version),
        }
    }

    fn unread(&self) -> &[u8] {
        self.input.get(self.read..).unwrap_or_default()
    }

    fn give_back_input(&mut self) {
        if self.unread().is_empty() || matches!(self.state, State::Failed(_)) {
            self.input = Vec::new();
        } else {
            self.input.drain(..self.read);
        }
        self.read = 0;
    }

    fn advance(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let State::Failed(error) = &self.state {
                return Err(error.clone());
            }
            if matches!(self.state, State::Greeting) {
                let Some(version) = greeting::parse(self.unread())? else {
                    return Ok(None);
                };
                self.read = self.read.saturating_add(greeting::LENGTH);
                self.state = State::Handshake(version);
            }
            let Some((kind, body)) = self.frame()? else {
                return Ok(None);
            };
            let event = match kind {
                Kind::Command => self.command(&body)?,
                Kind::Last | Kind::More => self.message(kind, body)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The next frame, if it is complete. Its size is judged as soon as its header is there.
    fn frame(&mut self) -> Result<Option<(Kind, Vec<u8>)>, Error> {
        let Some(Header { kind, size, length }) = frame::header(self.unread())? else {
            return Ok(None);
        };
        self.admit(kind, size)?;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| length.checked_add(size));
        let body = end.and_then(|end| self.unread().get(length..end));
        let Some(body) = body.map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.read = self.read.saturating_add(length).saturating_add(body.len());
        Ok(Some((kind, body)))
    }

    fn admit(&self, kind: Kind, size: u64) -> Result<(), Error> {
        if kind == Kind::Command {
            return if size > COMMAND_LIMIT as u64 {
                Err(Error::CommandTooLong(size))
            } else {
                Ok(())
            };
        }
        if matches!(self.state, State::Handshake(_)) {
            return Err(Error::MessageInHandshake);
        }
        if kind == Kind::More && self.frames.len().saturating_add(1) >= FRAMES_LIMIT {
            return Err(Error::TooManyFrames);
        }
        let held: u64 = self.frames.iter().map(|frame| frame.len() as u64).sum();
        let whole = held.saturating_add(size);
        if whole > MESSAGE_LIMIT as u64 {
            return Err(Error::MessageTooLong(whole));
        }
        Ok(())
    }

    /// A command may stand between two frames of a message: libzmq's timer puts its PING there.
    fn command(&mut self, body: &[u8]) -> Result<Option<Event>, Error> {
        let command = Command::parse(body)?;
        if let State::Handshake(version) = self.state {
            return self.handshake(version, &command).map(Some);
        }
        match command {
            Command::Error(reason) => Err(Error::Refused(reason)),
            Command::Other(_) => Ok(None),
            Command::Ping { ttl, context } => {
                let before = self.output.len();
                command::write_pong(&context, &mut self.output);
                let pong = self.output.len().saturating_sub(before);
                self.pongs = self.pongs.saturating_add(pong);
                if self.pongs > PONG_LIMIT {
                    return Err(Error::PingFlood);
                }
                Ok(Some(Event::Ping { ttl }))
            }
            Command::Pong(context) => Ok(Some(Event::Pong(context))),
            Command::Ready { .. } => Err(Error::UnexpectedCommand("READY".to_owned())),
        }
    }

    /// The NULL handshake is one READY from each side (RFC 37, "The NULL Security Mechanism");
    /// libzmq too takes any other command here for a fault.
    fn handshake(&mut self, version: Version, command: &Command<'_>) -> Result<Event, Error> {
        let unexpected = |name: &[u8]| Err(Error::UnexpectedCommand(printable(name)));
        match command {
            Command::Error(reason) => Err(Error::Refused(reason.clone())),
            Command::Other(name) => unexpected(name),
            Command::Ping { .. } => unexpected(b"PING"),
            Command::Pong(_) => unexpected(b"PONG"),
            Command::Ready { socket_type } => {
                let (_, servers) = self.socket.types();
                if let Some(other) = socket_type.filter(|name| !servers.contains(name)) {
                    return Err(Error::SocketType(printable(other)));
                }
                self.state = State::Traffic(version);
                Ok(Event::Ready(version))
            }
        }
    }

    fn message(&mut self, kind: Kind, body: Vec<u8>) -> Result<Option<Event>, Error> {
        if kind == Kind::More {
            self.frames.push(body);
            return Ok(None);
        }
        let first = mem::take(&mut self.frames).into_iter().next();
        match self.socket {
            Socket::Request if !mem::take(&mut self.asked) => Err(Error::UnaskedReply),
            Socket::Request if first.as_deref().is_some_and(<[u8]>::is_empty) => {
                Ok(Some(Event::Reply(body)))
            }
            Socket::Request => Err(Error::NoDelimiter),
            Socket::Subscribe(_) => Ok(Some(Event::Publication(Publication {
                topic: first,
                payload: body,
            }))),
        }
    }
}
