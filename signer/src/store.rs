//! What the service has to remember, and the only ways to change it.
//!
//! Each way is a named operation, written once and above the [`Backend`]: what has to hold, which
//! rows change, what the audit log says. A database that knew the rules would have them once per
//! database.
//!
//! ```text
//! operation   decides on the state in memory: an answer, or a change
//! → committer  chains the audit records of all that wait, one transaction for them together
//! → backend    applies it whole or not at all: memory, SQLite
//! → state      the memory changes when the transaction is durable; then the callers are answered
//! ```
//!
//! Opening reads the way back ([`Store::open`]): the audit chain must hold, and what the chain, an
//! operator's signature or a signing key does not vouch for is kept out of service and reported,
//! never dropped and never repaired silently.

pub mod backend;
mod change;
mod coming;
mod committer;
mod error;
mod layout;
mod load;
pub mod memory;
mod operation;
mod row;
pub mod sqlite;
mod state;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use minion::verify::{KeyHash, PublicKey};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use crate::audit::Actor;
pub use backend::Backend;
pub use coming::Announcement;
pub use error::Error;
pub use load::OpenError;
pub use memory::Memory;
pub use operation::decide::DecideError;
pub use operation::present::Presented;
pub use operation::publish::{Publication, PublishError};
pub use operation::signing_key::SigningKeyError;
pub use sqlite::{AuditFile, Sqlite, SqliteError};
pub use state::{
    KeyRecord, Latch, Master, Quarantined, SigningKeyRecord, SigningKeyState, State, Status,
    StoredSignature,
};

use crate::audit::Note;
use crate::audit::chain::Head;
use crate::authorize::{CheckedStatement, MasterId, OperatorsCa};
use crate::clock::Clock;
use crate::hsm::{LatchError, PinLatch};
use change::{Operation, Step, View};
use coming::Coming;
use committer::{Committer, Job, Waiting};
use layout::{AUDIT_RECORDS, Row};
use operation::decide::Decide;
use operation::latch::{Latch as LatchPin, Unlatch};
use operation::note::{RanCommand, RefuseProof, Serve};
use operation::present::Present;
use operation::signing_key::AddSigningKey;

/// The service's memory. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    uuid: Uuid,
    /// For reading the audit log; everything else is in `state`.
    backend: Arc<dyn Backend>,
    state: Arc<RwLock<State>>,
    clock: Arc<dyn Clock>,
    queue: mpsc::Sender<Box<dyn Job>>,
    /// Where the audit chain ends, after each commit.
    heads: broadcast::Sender<Head>,
    coming: Coming,
    stop: CancellationToken,
    /// Awaited by the first `close`.
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Loads the state, or begins a new store in an empty database, and starts to take operations.
    ///
    /// Rows that were altered do not stop it: they are kept out of service, reported in
    /// [`State::quarantined`] and logged. It runs on the current tokio runtime.
    ///
    /// With an `id` a new store gets that one, and no other store is opened: whoever can write the
    /// database could otherwise bring in another installation's, with all that was accepted there.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be read, if it holds another store, if a newer program wrote
    /// it, or if the audit chain is broken. All but the first want a person.
    pub async fn open(
        backend: Arc<dyn Backend>,
        operators: Arc<OperatorsCa>,
        clock: Arc<dyn Clock>,
        id: Option<Uuid>,
    ) -> Result<Self, OpenError> {
        let loaded = match load::load(&*backend, &operators, &*clock, id).await {
            Ok(loaded) => loaded,
            Err(error) => {
                backend.close().await;
                return Err(error);
            }
        };
        for bad in &loaded.state.quarantined {
            tracing::error!(
                what = bad.what,
                row = bad.row,
                why = bad.why,
                "kept out of service: the database was altered, or the operators' CA was exchanged"
            );
        }
        let Head { seq, hash } = loaded.head.0;
        tracing::info!(target: committer::AUDIT, store = %loaded.uuid, seq, %hash, "audit head found");
        let state = Arc::new(RwLock::new(loaded.state));
        let (heads, _) = broadcast::channel(HEADS);
        let coming = Coming::default();
        let committer = Committer {
            heads: heads.clone(),
            backend: Arc::clone(&backend),
            state: Arc::clone(&state),
            clock: Arc::clone(&clock),
            store: loaded.uuid,
            head: loaded.head,
            unsettled: None,
            coming: coming.clone(),
        };
        let (queue, waiting) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let task = tokio::spawn(committer.run(waiting, stop.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                uuid: loaded.uuid,
                backend,
                state,
                clock,
                queue,
                heads,
                coming,
                stop,
                committer: Mutex::new(Some(task)),
            }),
        })
    }

    /// The identity of this store, which statements and proofs name.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.inner.uuid
    }

    /// The head of the audit chain after each commit from here on.
    ///
    /// Who is slower than commits are made misses the oldest ones, and is told how many.
    #[must_use]
    pub fn heads(&self) -> broadcast::Receiver<Head> {
        self.inner.heads.subscribe()
    }

    /// The state as it was committed last. It must not be held over an `await`: changes wait for
    /// it.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        let state = self.inner.state.read();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the key that a master showed. That it holds the private key was proven before.
    ///
    /// # Errors
    ///
    /// Fails if the change could not be stored; a repeat converges.
    pub async fn present(
        &self,
        master: &MasterId,
        key: &PublicKey,
        actor: &Actor,
    ) -> Result<Presented, Error> {
        let operation = Present {
            master: master.clone(),
            key: Arc::new(key.clone()),
            actor: actor.clone(),
        };
        let presented = self.run(operation).await?;
        if presented == (Presented::Denied { recorded: false }) {
            metrics::counter!(UNRECORDED).increment(1);
        }
        Ok(presented)
    }

    /// Takes over an operator's decision and returns the master as it is with it.
    ///
    /// # Errors
    ///
    /// Says why the decision does not fit; [`DecideError::Conflict`] tells the generation to sign
    /// for.
    pub async fn decide(&self, decision: CheckedStatement) -> Result<Arc<Master>, DecideError> {
        self.run(Decide::from(decision)).await
    }

    /// Takes the key that the HSM holds: the first becomes the active one, the same again changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Refuses another key than the active one.
    pub async fn add_signing_key(&self, key: &PublicKey) -> Result<(), SigningKeyError> {
        let key = Arc::new(key.clone());
        self.run(AddSigningKey { key }).await
    }

    /// Says that a signature is being made that will be stored; others may wait to be committed with
    /// it.
    #[must_use]
    pub fn announce(&self) -> Announcement {
        self.inner.coming.announce()
    }

    /// Stores a signature that was just made and verified. If there is one already, that one wins
    /// and is returned.
    ///
    /// # Errors
    ///
    /// Refuses if an operator decided about the master meanwhile, or if the signing key is not the
    /// active one; the signature must not be served then.
    pub async fn publish(
        &self,
        publication: Publication,
    ) -> Result<Arc<StoredSignature>, PublishError> {
        // There is hardly ever one already, so nothing is asked before.
        self.submit(publication).await
    }

    /// Whether this PIN was refused by that token before.
    #[must_use]
    pub fn is_latched(&self, serial: &str, tag: &[u8; 32]) -> bool {
        self.state().is_latched(serial, tag)
    }

    /// Remembers that the token refused the PIN.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored.
    pub async fn latch(&self, serial: &str, tag: [u8; 32], reason: &str) -> Result<(), Error> {
        let operation = LatchPin {
            serial: serial.to_owned(),
            tag,
            reason: reason.to_owned(),
        };
        self.run(operation).await
    }

    /// Allows the token's PIN to be tried again, and tells how many PINs were latched.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored.
    pub async fn unlatch(&self, serial: &str, actor: &Actor) -> Result<usize, Error> {
        let operation = Unlatch {
            serial: serial.to_owned(),
            actor: actor.clone(),
        };
        self.run(operation).await
    }

    /// Takes note that somebody gets a signature for the first time; the master that it was made for
    /// counts as having it.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored; the signature must not be handed out then.
    pub async fn serve(
        &self,
        actor: &Actor,
        signature: &Arc<StoredSignature>,
    ) -> Result<(), Error> {
        let operation = Serve {
            actor: actor.clone(),
            signature: Arc::clone(signature),
        };
        self.run(operation).await
    }

    /// Takes note of a proof that did not hold; `unrecorded` is how many more of this caller there
    /// were since the last note.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored.
    pub async fn refuse_proof(
        &self,
        actor: Actor,
        master: &MasterId,
        key: KeyHash,
        reason: &'static str,
        unrecorded: u64,
    ) -> Result<(), Error> {
        let operation = RefuseProof {
            actor,
            master: master.clone(),
            key,
            reason,
            unrecorded,
        };
        self.run(operation).await
    }

    /// Takes over the note that a command on this machine left; once, however often it is asked.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored; a repeat converges.
    pub async fn ran_command(&self, note: &Note) -> Result<(), Error> {
        let operation = RanCommand {
            id: note.id,
            time: note.time,
            actor: note.actor.clone(),
            command: note.command.clone(),
            detail: note.detail.clone(),
        };
        self.run(operation).await
    }

    /// The audit records behind `after`, each as the bytes that are hashed, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be read.
    pub async fn records(
        &self,
        after: u64,
        limit: NonZeroUsize,
    ) -> Result<Vec<Vec<u8>>, backend::Error> {
        let after = Row::AuditRecord(after).name();
        let backend = &self.inner.backend;
        let page = backend.list(AUDIT_RECORDS, Some(&after), limit).await?;
        Ok(page
            .rows
            .into_iter()
            .map(|(_, entry)| entry.value)
            .collect())
    }

    /// Allows the PINs of all tokens to be tried again, or of the one with this serial number, and
    /// tells how many were latched.
    ///
    /// # Errors
    ///
    /// Fails if it could not be stored; for some tokens it may have been.
    pub async fn unlatch_all(&self, serial: Option<&str>, actor: &Actor) -> Result<usize, Error> {
        let serials: BTreeSet<String> = self
            .state()
            .latches()
            .map(|latch| latch.serial.clone())
            .filter(|latched| serial.is_none_or(|serial| serial == latched))
            .collect();
        let mut lifted: usize = 0;
        for serial in serials {
            lifted = lifted.saturating_add(self.unlatch(&serial, actor).await?);
        }
        Ok(lifted)
    }

    /// Finishes what waits, takes nothing more, and lets go of the database.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let committer = self.inner.committer.lock();
        let task = committer.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match task {
            Some(task) => Some(task.await),
            None => None,
        } {
            // What a panic said is kept back wherever a PIN may be in the process.
            let panicked = error.is_panic();
            tracing::error!(panicked, "the store's committer did not end by itself");
        }
    }

    /// Asks an operation, first here for an answer that needs no change. A caller that is cancelled
    /// gives up the wait, not the work.
    async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, O::Error> {
        if let Some(answer) = self.peek(&operation) {
            return answer;
        }
        self.submit(operation).await
    }

    async fn submit<O: Operation>(&self, operation: O) -> Result<O::Output, O::Error> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(Waiting::new(operation, sender));
        let queued = self.inner.queue.send(job).await;
        queued.map_err(|_| Error::Closed)?;
        receiver.await.map_err(|_| Error::Closed)?
    }

    fn peek<O: Operation>(&self, operation: &O) -> Option<Result<O::Output, O::Error>> {
        let state = self.state();
        let view = View {
            state: &state,
            store: self.inner.uuid,
            now: self.inner.clock.now(),
            seq: 0,
        };
        match operation.decide(&view) {
            Ok(Step::Done(output)) => Some(Ok(output)),
            Ok(Step::Write(..)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("uuid", &self.inner.uuid)
            .finish_non_exhaustive()
    }
}

impl PinLatch for Store {
    fn is_latched(&self, serial: &str, tag: &[u8; 32]) -> bool {
        self.state().is_latched(serial, tag)
    }

    fn latch<'a>(
        &'a self,
        serial: &'a str,
        tag: [u8; 32],
        reason: &'a str,
    ) -> backend::BoxFuture<'a, Result<(), LatchError>> {
        Box::pin(async move {
            let latched = Self::latch(self, serial, tag, reason).await;
            latched.map_err(|source| LatchError {
                serial: serial.to_owned(),
                source: Box::new(source),
            })
        })
    }
}

/// More commits than there are while a log daemon restarts.
const HEADS: usize = 1024;
/// Operations that may wait for the committer; a caller beyond waits to be let in. Each has a
/// request behind it, and those are bounded by the server's limit of connections.
const QUEUE: usize = 1024;

/// Counts keys of masters that showed more of them than are listed.
const UNRECORDED: &str = "mastersign_keys_denied_unrecorded_total";
