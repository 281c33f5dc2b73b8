//! Requests to one master under the keys of one session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::clock::unix_seconds;
use super::line::{Ask, Line, Question};
use super::notice::Notice;
use super::random::{NoRandomness, iv, nonce};
use crate::failover::{AttemptId, Position};
use crate::net::{self, Connect, Request};
use crate::verify::PublicKey;
use crate::wire::msgpack::{EncodeError, Value};
use crate::wire::request::{Command, ReplyError, Requests};

/// A session as whoever makes requests sees it. The connection ends with the last of them.
#[derive(Debug)]
pub(super) struct Channel {
    /// The attempt that began the session.
    pub(super) attempt: AttemptId,
    pub(super) master: Position,
    /// The key that the master proved.
    pub(super) key: PublicKey,
    /// Where its publications come from.
    pub(super) publisher: SocketAddr,
    requests: Requests,
    options: Connect,
    asks: mpsc::Sender<Ask>,
    questions: mpsc::Sender<Question>,
}

/// What a channel is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) attempt: AttemptId,
    pub(super) master: Position,
    pub(super) key: PublicKey,
    pub(super) publisher: SocketAddr,
    pub(super) requests: Requests,
    pub(super) request: Request,
    pub(super) options: Connect,
    pub(super) notices: mpsc::Sender<Notice>,
}

impl Channel {
    /// Joins the parts. The line runs until the last who holds the channel is gone.
    pub(super) fn open(parts: Parts) -> Arc<Self> {
        let (asks, asked) = mpsc::channel(ASKS);
        let (questions, questioned) = mpsc::channel(QUESTIONS);
        let line = Line {
            attempt: parts.attempt,
            options: parts.options.clone(),
            request: Some(parts.request),
            asks: asked,
            questions: questioned,
            open: None,
            notices: parts.notices,
        };
        drop(tokio::spawn(line.run()));
        Arc::new(Self {
            attempt: parts.attempt,
            master: parts.master,
            key: parts.key,
            publisher: parts.publisher,
            requests: parts.requests,
            options: parts.options,
            asks,
            questions,
        })
    }

    /// Makes a request and opens its reply.
    pub(super) async fn call(
        &self,
        command: &Command,
        within: Duration,
    ) -> Result<Value, CallError> {
        let nonce = nonce()?;
        let body = self.requests.seal(command, &nonce, unix_seconds(), iv()?)?;
        let (answer, reply) = oneshot::channel();
        let ask = Ask {
            body,
            within,
            answer,
        };
        let exchange = async {
            self.asks.send(ask).await.map_err(|_| CallError::Ended)?;
            let reply = reply.await.map_err(|_| CallError::Ended)?;
            reply.map_err(CallError::Transport)
        };
        let reply = timeout(within, exchange)
            .await
            .map_err(|_| CallError::Late(within))??;
        Ok(self.requests.open(&reply, nonce)?)
    }

    /// Makes a request for the sake of what the master does with it; of the reply only a refusal
    /// counts. It has a connection of its own, for it may take a master long.
    pub(super) async fn tell(&self, command: &Command, within: Duration) -> Result<(), CallError> {
        let nonce = nonce()?;
        let body = self.requests.seal(command, &nonce, unix_seconds(), iv()?)?;
        let exchange = async {
            let request = Request::connect(&self.options).await?;
            request.exchange(&body, within).await
        };
        let reply = timeout(within, exchange)
            .await
            .map_err(|_| CallError::Late(within))?;
        let (reply, _) = reply.map_err(CallError::Transport)?;
        match self.requests.open(&reply, nonce) {
            Err(error @ ReplyError::BadLoad) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Asks whether a worker lives; the answer is a notice. A question that finds no room is not
    /// answered, as one is that a hanging master gets.
    pub(super) fn ask(&self, question: Question) {
        let _ = self.questions.try_send(question);
    }
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the request cannot be encoded")]
    Encode(#[from] EncodeError),
    #[error("the agent is ending")]
    Ended,
    #[error("there was no reply within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error(transparent)]
    Transport(net::Error),
}

impl CallError {
    /// Whether the same may succeed later.
    pub(super) const fn is_transient(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Transport(_))
    }

    /// Whether new keys may help.
    pub(super) const fn is_stale(&self) -> bool {
        matches!(self, Self::Reply(error) if error.is_worth_a_sign_in())
    }
}

/// Returns that wait for their turn; whoever finds no room waits as its own request would.
const ASKS: usize = 8;

/// One probe is out at a time.
const QUESTIONS: usize = 2;
