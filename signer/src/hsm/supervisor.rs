//! The life of one HSM: start a worker, serve until it is lost, wait, start the next.
//!
//! Everything that must outlive a worker is here: the PIN, the latch and the count of failures. A
//! worker logs in once and never again, so each login is a decision of this module. Whenever it
//! waits it also takes a PIN that an operator hands over, and starts with that at once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hsm_config::PinSource;
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot, watch};

use super::breaker::Breaker;
use super::pin::Inherited;
use super::process::Process;
use super::protocol::WorkerReady;
use super::serving::Serving;
use super::shared::{Hsm, Shared};
use super::start::{self, NotReady};
use super::unlock::Offer;
use super::{State, pin};

/// Looks after one configured HSM.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) hsm: hsm_config::Hsm,
    breaker: Breaker,
    /// What cannot be had again at each start: a descriptor or a terminal gives it once, an operator
    /// hands it over by hand, and no call may wait for a program. What a file holds stays there.
    pin: Option<SecretString>,
    /// The descriptor that gives it, until it is read.
    inherited: Option<Result<Inherited, pin::Error>>,
    /// What the token refused but the store would not remember.
    pub(super) refused: Option<[u8; 32]>,
    /// The PIN was handed over, and its holder said to risk it.
    pub(super) force: bool,
    /// The PIN was handed over, and no token has taken it yet.
    is_offered: bool,
    /// Who waits for what becomes of the PIN that was handed over.
    asked: Option<oneshot::Sender<(State, String)>>,
    /// Rings when an operator lifted a latch.
    pub(super) unlatched: watch::Receiver<()>,
    /// Whether the next start has a good chance, so that calls may wait for it.
    is_promising: bool,
}

/// What comes after a worker.
enum Next {
    /// A start, after a while.
    Start(Duration),
    /// A start, when the PIN may be another one.
    Pin { serial: String, tag: [u8; 32] },
    /// A start, when a PIN was handed over.
    Unlock,
    /// Nothing, until the service is restarted.
    Nothing,
}

impl Supervisor {
    pub(super) fn new(
        shared: Arc<Shared>,
        index: usize,
        hsm: hsm_config::Hsm,
        inherited: Option<Result<Inherited, pin::Error>>,
    ) -> Self {
        let unlatched = shared.unlatched.subscribe();
        Self {
            shared,
            index,
            hsm,
            breaker: Breaker::new(),
            pin: None,
            inherited,
            refused: None,
            force: false,
            is_offered: false,
            asked: None,
            unlatched,
            is_promising: true,
        }
    }

    /// Ends when the pool is stopped; the worker is killed then.
    pub(super) async fn run(mut self, mut offers: mpsc::Receiver<Offer>) {
        let stop = self.shared.stop.clone();
        let life = stop.run_until_cancelled(self.live(&mut offers));
        // Its words are left where they are: it had the PIN.
        if AssertUnwindSafe(life).catch_unwind().await.is_err() {
            tracing::error!(hsm = %self.hsm.name, "the supervisor of an HSM failed");
            self.is_promising = false;
            self.note(
                State::Failed,
                "the service failed inside and leaves this HSM alone; restart it, and report what \
                 its log says of a panic",
            );
            // Whoever hands over a PIN is told at once that it is of no use.
            self.asked = None;
            drop(offers);
            stop.cancelled().await;
        }
        self.note(State::Stopped, "the service is shutting down");
    }

    async fn live(&mut self, offers: &mut mpsc::Receiver<Offer>) {
        loop {
            let next = self.one_worker(offers).await;
            let wait = async {
                match next {
                    Next::Start(wait) => tokio::time::sleep(wait).await,
                    Next::Pin { serial, tag } => self.until_another_pin(&serial, &tag).await,
                    Next::Unlock => std::future::pending().await,
                    Next::Nothing => return false,
                }
                true
            };
            let offer = tokio::select! {
                goes_on = wait => {
                    if !goes_on {
                        break;
                    }
                    None
                }
                offer = wanted(offers) => Some(offer),
            };
            if let Some(offer) = offer {
                self.take(offer);
            }
        }
        // Whoever hands over a PIN from here on is told at once that it is of no use.
        offers.close();
        std::future::pending::<()>().await;
    }

    /// Starts anew with a PIN that was handed over.
    fn take(&mut self, offer: Offer) {
        self.pin = Some(offer.pin);
        self.force = offer.force;
        self.is_offered = true;
        self.asked = Some(offer.outcome);
    }

    /// Tells whoever handed over a PIN what became of it.
    fn answer(&mut self, state: State, detail: &str) {
        self.force = false;
        if let Some(asked) = self.asked.take() {
            // It may have stopped waiting.
            let _ = asked.send((state, detail.to_owned()));
        }
    }

    async fn one_worker(&mut self, offers: &mut mpsc::Receiver<Offer>) -> Next {
        if self.pin.is_none() && !answers_at_once(&self.hsm.pin) {
            // Calls do not wait for a person or a program.
            let is_promising = std::mem::replace(&mut self.is_promising, false);
            self.note(State::Starting, "reading the PIN");
            self.is_promising = is_promising;
        } else {
            self.note(State::Starting, "starting a worker");
        }
        let read = tokio::select! {
            read = self.pin() => Ok(read),
            offer = wanted(offers) => Err(offer),
        };
        let pin = match read {
            Ok(Ok(pin)) => pin,
            Ok(Err(pin::Error::Locked)) => {
                self.is_promising = false;
                self.note(State::Locked, LOCKED);
                tracing::warn!(
                    hsm = self.hsm.name.as_str(),
                    detail = LOCKED,
                    "the HSM is locked"
                );
                return Next::Unlock;
            }
            Ok(Err(error)) => return self.not_started(&chain(&error)),
            Err(offer) => {
                let pin = offer.pin.clone();
                self.take(offer);
                pin
            }
        };
        let mut process = match Process::start(&self.hsm, &self.shared.context) {
            Ok(process) => process,
            Err(error) => return self.not_started(&chain(&error)),
        };
        self.note(State::Starting, "starting a worker");
        let id = process.id();
        self.shared.update(self.index, |notes| {
            notes.status.starts = notes.status.starts.saturating_add(1);
            notes.status.process = id;
        });
        let deadline = self.hsm.pool.start_deadline;
        let started = tokio::time::timeout(deadline, start::run(self, &mut process, &pin)).await;
        // The worker has it, and may live for months.
        drop(pin);
        match started {
            Ok(Ok(ready)) => self.serve(process, ready).await,
            Ok(Err(reason)) => {
                let status = process.end().await;
                self.after(reason, &status)
            }
            Err(_) => {
                process.end().await;
                self.not_started("the worker was not ready by the start deadline")
            }
        }
    }

    async fn serve(&mut self, mut process: Process, ready: WorkerReady) -> Next {
        let sessions = usize::from(ready.sessions);
        let detail = format!("signs with {sessions} sessions; key {}", ready.verdict);
        self.shared.update(self.index, |notes| {
            notes.set(State::Ready, &detail);
            notes.status.sessions = sessions;
            notes.probed = Some(Instant::now());
        });
        tracing::info!(
            hsm = self.hsm.name.as_str(),
            sessions,
            verdict = ready.verdict,
            "the HSM is ready"
        );
        self.is_offered = false;
        self.answer(State::Ready, &detail);
        let deadline = self.hsm.pool.sign_deadline;
        let mut serving = Serving::new(&self.shared, self.index, sessions, deadline);
        let loss = serving.run(&mut process).await;
        let status = process.end().await;
        serving.give_back();
        self.lost(&format!("{loss} ({status})"))
    }

    fn lost(&mut self, detail: &str) -> Next {
        if self.shared.is_quarantined(self.index) {
            return Next::Nothing;
        }
        if self.shared.take_verified(self.index) {
            self.breaker.succeeded();
        }
        let wait = self.breaker.lost(chance());
        tracing::warn!(
            hsm = self.hsm.name.as_str(),
            detail,
            ?wait,
            "an HSM worker was lost"
        );
        self.is_promising = wait.is_zero();
        if !self.is_promising {
            self.back_off(wait, detail);
        }
        Next::Start(wait)
    }

    fn not_started(&mut self, detail: &str) -> Next {
        let wait = self.breaker.start_failed(chance());
        tracing::warn!(
            hsm = self.hsm.name.as_str(),
            detail,
            ?wait,
            "an HSM worker did not start"
        );
        self.is_promising = false;
        self.back_off(wait, detail);
        Next::Start(wait)
    }

    fn after(&mut self, reason: NotReady, status: &str) -> Next {
        match reason {
            NotReady::CountLow => {
                self.stay(State::PinCountLow, start::COUNT_LOW);
                if std::mem::take(&mut self.is_offered) {
                    // Whoever handed it over was told; when the token counts no more is no moment
                    // that he chose.
                    self.pin = None;
                    if !pin::is_rereadable(&self.hsm.pin) {
                        return Next::Unlock;
                    }
                }
                Next::Start(PIN_POLL)
            }
            NotReady::Ending(detail) => self.not_started(&detail),
            NotReady::Failed(failure) => {
                self.not_started(&format!("{} ({status})", chain(&failure)))
            }
            NotReady::OtherKey(detail) => {
                self.stay(State::Failed, &detail);
                Next::Nothing
            }
            NotReady::PinRefused {
                serial,
                tag,
                detail,
            } => {
                self.stay(State::PinLatched, &detail);
                self.is_offered = false;
                // Whatever lifts the latch, what is tried next is what the source holds then, or
                // what is handed over then.
                if pin::is_rereadable(&self.hsm.pin) || self.hsm.pin == PinSource::Locked {
                    self.pin = None;
                }
                Next::Pin { serial, tag }
            }
        }
    }

    /// Notes a state that an operator has to do something about.
    fn stay(&mut self, state: State, detail: &str) {
        self.is_promising = false;
        self.note(state, detail);
        // Whoever reads the log finds the state as it says.
        tracing::error!(
            hsm = self.hsm.name.as_str(),
            ?state,
            detail,
            "the HSM cannot be used"
        );
        self.answer(state, detail);
    }

    fn back_off(&mut self, wait: Duration, detail: &str) {
        self.answer(State::Backoff, detail);
        self.shared.update(self.index, |notes| {
            notes.set(State::Backoff, detail);
            notes.retry = Instant::now().checked_add(wait);
        });
    }

    fn note(&self, state: State, detail: &str) {
        let is_promising = self.is_promising;
        self.shared.update(self.index, |notes| {
            notes.set(state, detail);
            notes.is_promising = is_promising;
        });
    }

    /// The PIN, from its source or, if that gives it only once or slowly, from memory after the
    /// first start.
    async fn pin(&mut self) -> Result<SecretString, pin::Error> {
        if let Some(pin) = &self.pin {
            return Ok(pin.clone());
        }
        let pin = match self.inherited.take() {
            Some(inherited) => on_a_thread(move || inherited?.read()).await?,
            None => read_pin(self.hsm.pin.clone()).await?,
        };
        if !is_read_at_each_start(&self.hsm.pin) {
            self.pin = Some(pin.clone());
        }
        Ok(pin)
    }

    /// Waits until the latch is lifted or the source gives another PIN.
    async fn until_another_pin(&mut self, serial: &str, tag: &[u8; 32]) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PIN_POLL) => {}
                lifted = self.unlatched.changed() => {
                    // The sender lives as long as this, so it was a ring.
                    if lifted.is_ok() && self.refused.as_ref() == Some(tag) {
                        self.refused = None;
                    }
                }
            }
            if !self.is_refused(serial, tag) {
                return;
            }
            if !pin::is_rereadable(&self.hsm.pin) {
                continue;
            }
            if let Ok(pin) = read_pin(self.hsm.pin.clone()).await {
                let tag = self.shared.context.latch_key.tag(serial, &pin);
                if !self.is_refused(serial, &tag) {
                    self.pin = (!is_read_at_each_start(&self.hsm.pin)).then_some(pin);
                    return;
                }
            }
        }
    }

    pub(super) fn is_refused(&self, serial: &str, tag: &[u8; 32]) -> bool {
        self.refused.as_ref() == Some(tag) || self.shared.context.latch.is_latched(serial, tag)
    }
}

impl Hsm {
    /// Notes what an HSM is doing, and that no worker of it is known to run unless it says so.
    pub(super) fn set(&mut self, state: State, detail: &str) {
        self.status.state = state;
        detail.clone_into(&mut self.status.detail);
        self.retry = None;
        if state != State::Ready {
            self.status.process = None;
            self.status.in_flight = 0;
            self.status.sessions = 0;
        }
    }
}

/// The next PIN that somebody still waits for the outcome of.
async fn wanted(offers: &mut mpsc::Receiver<Offer>) -> Offer {
    loop {
        match offers.recv().await {
            Some(offer) if !offer.outcome.is_closed() => return offer,
            Some(_) => {}
            // The pool is gone, and so will this be.
            None => std::future::pending().await,
        }
    }
}

/// Whether the source answers at once.
const fn answers_at_once(source: &PinSource) -> bool {
    match source {
        PinSource::Credential { .. }
        | PinSource::Environment { .. }
        | PinSource::File { .. }
        | PinSource::Locked => true,
        PinSource::Command { .. } | PinSource::Descriptor { .. } | PinSource::Prompt => false,
    }
}

/// Whether the service holds a PIN from this source only for as long as a login takes.
const fn is_read_at_each_start(source: &PinSource) -> bool {
    pin::is_rereadable(source) && answers_at_once(source)
}

/// Reads a PIN on a thread of its own: a command or a person takes its time.
async fn read_pin(source: PinSource) -> Result<SecretString, pin::Error> {
    on_a_thread(move || pin::read(&source)).await
}

async fn on_a_thread(
    read: impl FnOnce() -> Result<SecretString, pin::Error> + Send + 'static,
) -> Result<SecretString, pin::Error> {
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        // Nobody waits if the service is shutting down.
        let _ = sender.send(read());
    };
    std::thread::Builder::new()
        .name("pin".to_owned())
        .spawn(read)
        .map_err(pin::Error::Thread)?;
    receiver.await.unwrap_or(Err(pin::Error::Locked))
}

/// The error and its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A number that no other service on the HSM draws too; without randomness the longest wait is as
/// good.
fn chance() -> u16 {
    let mut bytes = [0xff; 2];
    // On failure the array stays as it is.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

/// Seldom enough for a PIN command, often enough for an operator who waits for the effect.
const PIN_POLL: Duration = Duration::from_secs(20);
const LOCKED: &str =
    "no PIN source is configured; `mastersign hsm unlock` on this machine hands a PIN over";

#[cfg(test)]
mod tests;
