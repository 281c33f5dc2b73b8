//! The owner of a session's connection for requests.
//!
//! A REQ socket has one request at a time and is gone after a failure, so somebody must hold the
//! queue and connect again. While nothing is asked it keeps the connection alive and notices its
//! end. It outlives its session for as long as a return is under way, which then still reaches the
//! master that asked.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::caught::caught;
use super::notice::{Half, Notice, PANICKED};
use super::speak::chain;
use crate::failover::{AttemptId, ProbeId};
use crate::net::{Connect, Error, Request};
use crate::wire::request;

/// A sealed request, and who waits for the reply.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) body: Vec<u8>,
    pub(super) within: Duration,
    pub(super) answer: oneshot::Sender<Result<Vec<u8>, Error>>,
}

/// A question whether a worker lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) probe: ProbeId,
    /// When the answer is of no use any more.
    pub(super) due: Instant,
}

/// The state of the owner.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) attempt: AttemptId,
    pub(super) options: Connect,
    pub(super) request: Option<Request>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) questions: mpsc::Receiver<Question>,
    /// The question that the next reply answers.
    pub(super) open: Option<Question>,
    pub(super) notices: mpsc::Sender<Notice>,
}

enum Turn {
    Ask(Ask),
    Lost(Error),
    Question(Question),
}

impl Line {
    /// Serves requests until nobody can make one any more.
    pub(super) async fn run(mut self) {
        if caught(self.serve()).await.is_none() {
            let (attempt, why) = (self.attempt, PANICKED.to_owned());
            // Whoever has no ear for it has ended.
            let _ = self.notices.send(Notice::Gone { attempt, why }).await;
        }
    }

    async fn serve(&mut self) {
        while let Some(turn) = self.turn().await {
            match turn {
                Turn::Ask(ask) => {
                    self.answer(ask).await;
                    self.ask_at_last().await;
                }
                Turn::Lost(error) => self.mend(&error).await,
                Turn::Question(question) => self.ping(question).await,
            }
        }
    }

    async fn turn(&mut self) -> Option<Turn> {
        let Self {
            request,
            asks,
            questions,
            ..
        } = self;
        let lost = async {
            match request {
                Some(request) => request.idle().await,
                None => std::future::pending().await,
            }
        };
        let turn = tokio::select! {
            biased;
            Some(question) = questions.recv() => Turn::Question(question),
            ask = asks.recv() => Turn::Ask(ask?),
            error = lost => Turn::Lost(error),
        };
        Some(turn)
    }

    /// An idle connection ended: once it is made again at once, which tells a restarted socket from
    /// a dead master.
    async fn mend(&mut self, lost: &Error) {
        self.request = None;
        if let Err(error) = self.connect(self.options.within).await {
            let why = format!("{}; {}", chain(lost), chain(&error));
            let attempt = self.attempt;
            // Whoever has no ear for it has ended.
            let _ = self.notices.send(Notice::Gone { attempt, why }).await;
        }
    }

    async fn connect(&mut self, within: Duration) -> Result<(), Error> {
        let options = Connect {
            within: within.min(self.options.within),
            ..self.options.clone()
        };
        self.request = Some(Request::connect(&options).await?);
        Ok(())
    }

    /// Who gives up waiting for a reply gives up the connection: the reply may still come, and must
    /// not be taken for the next one.
    async fn answer(&mut self, ask: Ask) {
        let Ask {
            body,
            within,
            mut answer,
        } = ask;
        let result = tokio::select! {
            biased;
            () = answer.closed() => return,
            result = self.exchange(&body, within) => result,
        };
        let _ = answer.send(result);
    }

    /// A question that came while a request was out has waited for its reply. If there was none,
    /// that says something about the request and not yet about the master.
    async fn ask_at_last(&mut self) {
        let now = Instant::now();
        if let Some(question) = self.open.filter(|question| question.due > now) {
            self.ping(question).await;
        }
    }

    async fn ping(&mut self, question: Question) {
        self.open = Some(question);
        let Ok(body) = request::ping() else {
            return;
        };
        let within = question.due.saturating_duration_since(Instant::now());
        match self.exchange(&body, within).await {
            Ok(reply) if request::is_pong(&reply) => {}
            Ok(_) => tracing::debug!(target: "minion::agent", "the answer to ping is not ping"),
            Err(error) => {
                tracing::debug!(target: "minion::agent", "ping was not answered: {}", chain(&error));
            }
        }
    }

    /// Any reply is a sign of life, also one that was asked for before the question was.
    async fn exchange(&mut self, body: &[u8], within: Duration) -> Result<Vec<u8>, Error> {
        if self.request.is_none() {
            self.connect(within).await?;
        }
        let Some(request) = self.request.take() else {
            return Err(Error::Closed);
        };
        let exchange = request.exchange(body, within);
        tokio::pin!(exchange);
        let (reply, request) = loop {
            tokio::select! {
                ended = &mut exchange => break ended?,
                Some(question) = self.questions.recv() => self.open = Some(question),
            }
        };
        self.request = Some(request);
        if let Some(Question { probe, .. }) = self.open.take() {
            let half = Half::Requests;
            let _ = self.notices.send(Notice::Alive { probe, half }).await;
        }
        Ok(reply)
    }
}
