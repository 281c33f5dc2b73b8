//! What the supervisors of the HSMs and the callers share: one queue, and a state for each HSM.
//!
//! One queue for all, rather than one for each HSM: the HSM that signs takes from it, so failing
//! over moves nothing. Only the first in the order of the configuration that is ready takes; the
//! others stand by.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use minion::verify::{Algorithm, PublicKey, Signature};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::queue::{Company, Queue, Suspicion, Ticket};
use super::{Context, Error, HsmStatus, State};
use crate::authorize::SignedStatement;

/// One wanted signature and where it goes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: Arc<PublicKey>,
    pub(super) algorithm: Algorithm,
    pub(super) acceptance: Arc<SignedStatement>,
    pub(super) reply: oneshot::Sender<Result<Answer, Error>>,
}

/// A signature that nobody verified yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) signature: Signature,
    /// Which HSM made it.
    pub(super) hsm: usize,
}

/// The key that all HSMs of the pool share, with the signatures that prove it.
#[derive(Debug)]
pub(super) struct SharedKey {
    pub(super) public: Arc<PublicKey>,
    /// Over the key's own public half. They never leave the process.
    pub(super) trials: BTreeMap<Algorithm, Signature>,
}

/// The middle of the pool.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) stop: CancellationToken,
    /// Set once, by the first HSM that passes its self-test.
    pub(super) key: watch::Sender<Option<Arc<SharedKey>>>,
    /// Rings whenever the notes on an HSM were changed.
    pub(super) changes: watch::Sender<()>,
    /// Rings when an operator allowed refused PINs to be presented again.
    pub(super) unlatched: watch::Sender<()>,
    /// One for each HSM: there may be work for it, or its state was changed from outside.
    bells: Vec<Notify>,
    /// One for each HSM: a signature of it verified since its last worker was lost.
    verified: Vec<AtomicBool>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue<Call>,
    hsms: Vec<Hsm>,
}

/// The notes on one HSM, by its supervisor.
#[derive(Debug)]
pub(super) struct Hsm {
    pub(super) status: HsmStatus,
    /// Its worker has room and found nothing to do: the next call has to wake it.
    is_idle: bool,
    /// Whether calls may wait for it although it does not sign yet.
    pub(super) is_promising: bool,
    pub(super) probed: Option<Instant>,
    pub(super) retry: Option<Instant>,
}

impl Shared {
    pub(super) fn new(hsms: &[hsm_config::Hsm], context: Context) -> Self {
        let bound = hsms.iter().map(|hsm| hsm.pool.queue).max().unwrap_or(0);
        let notes = |hsm: &hsm_config::Hsm| Hsm {
            status: HsmStatus::new(hsm.name.as_str()),
            is_idle: true,
            is_promising: true,
            probed: None,
            retry: None,
        };
        Self {
            context,
            stop: CancellationToken::new(),
            key: watch::Sender::new(None),
            changes: watch::Sender::new(()),
            unlatched: watch::Sender::new(()),
            bells: hsms.iter().map(|_| Notify::new()).collect(),
            verified: hsms.iter().map(|_| AtomicBool::new(false)).collect(),
            inner: Mutex::new(Inner {
                queue: Queue::new(bound),
                hsms: hsms.iter().map(notes).collect(),
            }),
        }
    }

    /// Puts a call into the queue, if there is hope for it.
    pub(super) fn submit(&self, call: Call) -> Result<(), Error> {
        let mut inner = self.lock();
        if !inner.hsms.iter().any(Hsm::is_hopeful) {
            return Err(Error::Unavailable);
        }
        inner.queue.push(call).map_err(|_| Error::Saturated)?;
        // A worker whose hands are full comes back by itself; waking it for each call would be half
        // of what a call costs.
        let idle = inner.signer().filter(|hsm| {
            let notes = inner.hsms.get_mut(*hsm);
            notes.is_some_and(|notes| std::mem::take(&mut notes.is_idle))
        });
        drop(inner);
        self.ring(idle);
        Ok(())
    }

    /// The next call for this HSM, if it is the one that signs. Calls whose caller has gone are
    /// dropped.
    pub(super) fn take(&self, hsm: usize, held: usize) -> Option<(Ticket<Call>, Company)> {
        let mut inner = self.lock();
        if inner.signer() != Some(hsm) {
            return None;
        }
        let taken = loop {
            match inner.queue.take(held) {
                Some((ticket, _)) if ticket.call.reply.is_closed() => {}
                taken => break taken,
            }
        };
        if let Some(notes) = inner.hsms.get_mut(hsm) {
            notes.status.in_flight = held.saturating_add(usize::from(taken.is_some()));
            notes.is_idle = taken.is_none();
        }
        taken
    }

    /// Takes back what a lost worker held.
    pub(super) fn give_back(&self, lost: impl Iterator<Item = (Ticket<Call>, Suspicion)>) {
        let mut inner = self.lock();
        for (ticket, suspicion) in lost {
            if let Err(call) = inner.queue.give_back(ticket, suspicion) {
                // The caller may have gone.
                let _ = call.reply.send(Err(Error::Lost));
            }
        }
    }

    /// Changes the notes on an HSM, and lets everybody draw the consequences.
    ///
    /// A quarantined HSM stays so, whatever its supervisor was about to note.
    pub(super) fn update(&self, hsm: usize, change: impl FnOnce(&mut Hsm)) {
        let mut inner = self.lock();
        if let Some(notes) = inner.hsms.get_mut(hsm) {
            let quarantined = notes.status.state == State::Quarantined;
            let detail = quarantined.then(|| notes.status.detail.clone());
            change(notes);
            if let Some(detail) = detail {
                notes.status.state = State::Quarantined;
                notes.status.detail = detail;
            }
        }
        let hopeless = if inner.hsms.iter().any(Hsm::is_hopeful) {
            Vec::new()
        } else {
            inner.queue.clear().collect()
        };
        let signer = inner.signer();
        drop(inner);
        self.changes.send_replace(());
        for call in hopeless {
            // The caller may have gone.
            let _ = call.reply.send(Err(Error::Unavailable));
        }
        self.ring(signer);
    }

    /// Bars an HSM whose signature did not verify, for good.
    pub(super) fn quarantine(&self, hsm: usize) -> Error {
        let mut name = String::new();
        self.update(hsm, |notes| {
            notes.status.state = State::Quarantined;
            notes.status.detail = QUARANTINED.to_owned();
            notes.is_promising = false;
            name.clone_from(&notes.status.name);
        });
        tracing::error!(hsm = name, "{QUARANTINED}");
        self.ring(Some(hsm));
        Error::Quarantined { hsm: name }
    }

    pub(super) fn is_quarantined(&self, hsm: usize) -> bool {
        let inner = self.lock();
        let notes = inner.hsms.get(hsm);
        notes.is_some_and(|notes| notes.status.state == State::Quarantined)
    }

    /// Notes that a signature of this HSM verified.
    pub(super) fn verified(&self, hsm: usize) {
        if let Some(verified) = self.verified.get(hsm) {
            verified.store(true, Ordering::Relaxed);
        }
    }

    /// Whether one did since this was asked last.
    pub(super) fn take_verified(&self, hsm: usize) -> bool {
        let verified = self.verified.get(hsm);
        verified.is_some_and(|verified| verified.swap(false, Ordering::Relaxed))
    }

    /// Waits until this HSM may have something to do.
    pub(super) async fn rung(&self, hsm: usize) {
        match self.bells.get(hsm) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn status(&self) -> Vec<HsmStatus> {
        let now = Instant::now();
        let inner = self.lock();
        let queued = inner.queue.len();
        let status = |hsm: &Hsm| HsmStatus {
            last_probe: hsm.probed.map(|at| now.saturating_duration_since(at)),
            retry_in: hsm.retry.map(|at| at.saturating_duration_since(now)),
            queued,
            ..hsm.status.clone()
        };
        inner.hsms.iter().map(status).collect()
    }

    fn ring(&self, hsm: Option<usize>) {
        if let Some(bell) = hsm.and_then(|hsm| self.bells.get(hsm)) {
            bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The HSM that signs: the first that is ready, in the order of the configuration.
    fn signer(&self) -> Option<usize> {
        let ready = |hsm: &Hsm| hsm.status.state == State::Ready;
        self.hsms.iter().position(ready)
    }
}

impl Hsm {
    /// Whether a call that waits has a good chance.
    const fn is_hopeful(&self) -> bool {
        match self.status.state {
            State::Ready => true,
            State::Starting => self.is_promising,
            State::Backoff
            | State::Failed
            | State::Locked
            | State::PinCountLow
            | State::PinLatched
            | State::Quarantined
            | State::Stopped => false,
        }
    }
}

const QUARANTINED: &str =
    "a signature did not verify; the HSM gets no more calls until the service is restarted";
