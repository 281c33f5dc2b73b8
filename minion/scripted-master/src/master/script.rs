//! What a script may do instead of the honest answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Exchange;

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// What an honest master does.
    Honest,
    /// These steps one after the other, and nothing else; none at all is silence.
    Steps(Vec<Step>),
}

impl Answer {
    /// One reply.
    #[must_use]
    pub fn reply(body: Vec<u8>) -> Self {
        Self::Steps(vec![Step::Reply(body)])
    }
}

/// One thing to do on a connection.
#[derive(Debug)]
pub enum Step {
    /// A reply behind its delimiter.
    Reply(Vec<u8>),
    /// The same on another connection, by its number; ROUTER would never do that by itself.
    ReplyTo(u64, Vec<u8>),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// Bytes one by one, a pause before each.
    Trickle {
        /// The bytes.
        bytes: Vec<u8>,
        /// The pause.
        every: Duration,
    },
    /// The header of a frame of this size, and then zeros until all of it is sent or the peer has
    /// closed.
    Flood(u64),
    /// Nothing until somebody opens the gate.
    Wait(Gate),
    /// The end of the connection.
    Close,
}

/// Something to wait for that a test makes happen.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn shut() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        // The sender lives in `self`.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// The script of a master; without one it is honest.
#[derive(Clone, Default)]
pub(super) struct Script(Option<Arc<Play>>);

type Play = dyn Fn(&Exchange<'_>) -> Answer + Send + Sync;

impl Script {
    pub(super) fn new(script: impl Fn(&Exchange<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(script)))
    }

    pub(super) fn answer(&self, exchange: &Exchange<'_>) -> Answer {
        self.0
            .as_ref()
            .map_or(Answer::Honest, |script| script(exchange))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "script" } else { "honest" })
    }
}
