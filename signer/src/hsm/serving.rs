//! The traffic with one worker that is ready.
//!
//! One task owns the socket, so a signature costs no task and no lock beyond the queue's: it reads
//! every answer that is there, takes as many calls as there is room for, and writes them in one go.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minion::verify::Signature;
use std::borrow::Cow;

use super::Error;
use super::flight::Flight;
use super::process::{Failure, Process};
use super::protocol::{Order, Report};
use super::queue::{Company, Ticket};
use super::shared::{Answer, Call, Shared};
use super::supervisor::chain;

/// What a worker holds, while it is ready.
#[derive(Debug)]
pub(super) struct Serving {
    shared: Arc<Shared>,
    index: usize,
    flight: Flight<Work>,
    /// A suspect is in flight, and nothing may go with it.
    is_alone: bool,
    probe_at: Instant,
}

/// What is done with the answer.
#[derive(Debug)]
enum Work {
    Call(Ticket<Call>),
    Probe,
}

/// Why a worker that was ready is of no more use.
#[derive(Debug)]
pub(super) enum Loss {
    /// It said so.
    Ending(String),
    /// It failed without a word.
    Failed(Failure),
    /// A call was past the deadline.
    Late,
    /// It makes no trial signatures any more.
    Probe(String),
    /// A signature did not verify.
    Quarantined,
}

impl From<Failure> for Loss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending(detail) => f.write_str(detail),
            Self::Failed(failure) => f.write_str(&chain(failure)),
            Self::Probe(reason) => write!(f, "a trial signature was refused: {reason}"),
            Self::Late => f.write_str("a signature was not made by the deadline"),
            Self::Quarantined => f.write_str("a signature did not verify"),
        }
    }
}

impl Serving {
    pub(super) fn new(
        shared: &Arc<Shared>,
        index: usize,
        sessions: usize,
        deadline: Duration,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            index,
            flight: Flight::new(sessions, deadline),
            is_alone: false,
            probe_at: in_future(PROBE_INTERVAL),
        }
    }

    /// Serves until the worker is lost.
    pub(super) async fn run(&mut self, process: &mut Process) -> Loss {
        match self.serve(process).await {
            Ok(never) => match never {},
            Err(loss) => loss,
        }
    }

    /// Returns to the queue what the worker held; call it when the worker is gone.
    pub(super) fn give_back(self) {
        let lost = self.flight.into_lost(Instant::now());
        self.shared
            .give_back(lost.filter_map(|(work, suspicion)| match work {
                Work::Call(ticket) => Some((ticket, suspicion)),
                Work::Probe => None,
            }));
    }

    async fn serve(&mut self, process: &mut Process) -> Result<std::convert::Infallible, Loss> {
        let shared = Arc::clone(&self.shared);
        let alarm = tokio::time::sleep_until(self.alarm().into());
        tokio::pin!(alarm);
        loop {
            self.send(process)?;
            // Finished calls only move the time back: the alarm goes off early then, and is set
            // anew.
            if self.alarm() < alarm.deadline().into_std() {
                alarm.as_mut().reset(self.alarm().into());
            }
            tokio::select! {
                stirred = process.stirs() => {
                    if stirred? {
                        self.receive(process)?;
                    }
                }
                () = shared.rung(self.index) => {
                    if shared.is_quarantined(self.index) {
                        return Err(Loss::Quarantined);
                    }
                }
                () = alarm.as_mut() => {
                    self.ring()?;
                    alarm.as_mut().reset(self.alarm().into());
                }
            }
        }
    }

    /// When something has to be done though nothing happens.
    fn alarm(&self) -> Instant {
        self.flight
            .due()
            .map_or(self.probe_at, |due| due.min(self.probe_at))
    }

    fn ring(&self) -> Result<(), Loss> {
        match self.flight.due() {
            Some(due) if due <= Instant::now() => Err(Loss::Late),
            _ => Ok(()),
        }
    }

    /// Fills the worker's hands when they get empty.
    fn send(&mut self, process: &mut Process) -> Result<(), Loss> {
        let now = Instant::now();
        if now >= self.probe_at && !self.is_alone {
            self.probe_at = in_future(PROBE_INTERVAL);
            let id = self.flight.add(Work::Probe, now);
            process.queue(id, &Order::Probe).map_err(Failure::Frame)?;
        }
        let fill = self.flight.is_low();
        while fill && self.flight.has_room() && !self.is_alone {
            let Some((ticket, company)) = self.shared.take(self.index, self.flight.len()) else {
                break;
            };
            self.is_alone = company == Company::Alone;
            self.send_call(ticket, process, now);
        }
        process.flush()?;
        Ok(())
    }

    fn send_call(&mut self, ticket: Ticket<Call>, process: &mut Process, now: Instant) {
        let call = &ticket.call;
        let key = Arc::clone(&call.key);
        let acceptance = Arc::clone(&call.acceptance);
        let order = Order::Sign {
            algorithm: call.algorithm,
            key: Cow::Borrowed(key.canonical()),
            acceptance: Cow::Borrowed(&acceptance),
        };
        let id = self.flight.add(Work::Call(ticket), now);
        if let Err(error) = process.queue(id, &order) {
            let reason = error.to_string();
            // A call, so there is an answer.
            let _ = self.refused(id, Error::Refused { reason });
        }
    }

    fn receive(&mut self, process: &mut Process) -> Result<(), Loss> {
        while let Some((id, report)) = process.report()? {
            match report {
                Report::Signature(signature) => {
                    self.signature(id, signature)?;
                }
                Report::Refused { reason } => self.refused(id, Error::Refused { reason })?,
                Report::Rejected { reason } => self.refused(id, Error::Rejected { reason })?,
                Report::Ending { detail, .. } => return Err(Loss::Ending(detail)),
                Report::LoggedIn | Report::Ready(_) | Report::Token(_) => {
                    return Err(Loss::Ending("the worker spoke out of turn".to_owned()));
                }
            }
        }
        Ok(())
    }

    fn signature(&mut self, id: u32, signature: Signature) -> Result<(), Loss> {
        match self.finish(id) {
            Some(Work::Call(ticket)) => {
                let hsm = self.index;
                // The caller may have gone.
                let _ = ticket.call.reply.send(Ok(Answer { signature, hsm }));
                Ok(())
            }
            Some(Work::Probe) => self.probed(&signature),
            None => Ok(()),
        }
    }

    /// A trial signature is the same for ever.
    fn probed(&self, signature: &Signature) -> Result<(), Loss> {
        let key = self.shared.key.borrow().clone();
        let is_ours = |key: &Arc<_>| {
            let key: &super::shared::SharedKey = key;
            key.trials.values().any(|trial| trial == signature)
        };
        if key.as_ref().is_some_and(is_ours) {
            self.shared.verified(self.index);
            self.shared.update(self.index, |notes| {
                notes.probed = Some(Instant::now());
            });
            Ok(())
        } else {
            self.shared.quarantine(self.index);
            Err(Loss::Quarantined)
        }
    }

    /// A call that is refused may be at fault itself; a trial signature never is.
    fn refused(&mut self, id: u32, why: Error) -> Result<(), Loss> {
        match self.finish(id) {
            Some(Work::Call(ticket)) => {
                // The caller may have gone.
                let _ = ticket.call.reply.send(Err(why));
                Ok(())
            }
            Some(Work::Probe) => Err(Loss::Probe(why.to_string())),
            None => Ok(()),
        }
    }

    fn finish(&mut self, id: u32) -> Option<Work> {
        let work = self.flight.remove(id, Instant::now());
        self.is_alone = self.is_alone && self.flight.len() > 0;
        work
    }
}

fn in_future(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}

/// With the time that a signature takes this stays below the half minute that readiness promises.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
