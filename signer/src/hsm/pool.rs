//! The pool: a permit goes in, a verified signature comes out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minion::verify::{Algorithm, PublicKey, Signature};
use secrecy::SecretString;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::pin::Inherited;
use super::shared::{Answer, Call, Shared};
use super::supervisor::Supervisor;
use super::unlock::{self, Slot, UnlockError};
use super::{Context, Error, HsmStatus, Verified};
use crate::authorize::Permit;

/// All configured HSMs. Clones are handles to the same pool, and the last one that is dropped stops
/// it.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

impl Pool {
    /// Starts a worker for each HSM, on the current tokio runtime, and returns at once.
    ///
    /// It never fails because of a token, a PIN or a module: [`status`](Self::status) tells, and
    /// what is stored is served meanwhile. The order is the priority: the first that is ready
    /// signs.
    #[must_use]
    pub fn start(hsms: Vec<hsm_config::Hsm>, context: Context) -> Self {
        let shared = Arc::new(Shared::new(&hsms, context));
        // Before the first process is started, which would inherit the descriptors among them.
        #[expect(
            clippy::needless_collect,
            reason = "all of them before the first start"
        )]
        let hsms: Vec<_> = hsms
            .into_iter()
            .map(|hsm| (Inherited::of(&hsm.pin), hsm))
            .collect();
        let (slots, supervisors) = hsms
            .into_iter()
            .enumerate()
            .map(|(index, (pin, hsm))| {
                let (slot, offers) = Slot::new(&hsm);
                let supervisor = Supervisor::new(Arc::clone(&shared), index, hsm, pin);
                (slot, tokio::spawn(supervisor.run(offers)))
            })
            .unzip();
        Self(Arc::new(Owner {
            shared,
            slots,
            supervisors: Mutex::new(supervisors),
        }))
    }

    /// Has the key of the permit signed, and verifies the signature.
    ///
    /// Dropping the future gives up the wait; a call that was already sent is carried out and its
    /// answer dropped.
    ///
    /// # Errors
    ///
    /// [`Error::is_retryable`] tells which are worth another attempt.
    pub async fn sign(&self, permit: Permit, algorithm: Algorithm) -> Result<Signature, Error> {
        let verified = self.sign_verified(permit, algorithm).await;
        verified.map(Verified::into_signature)
    }

    /// The same, and the answer proves that it was verified.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub async fn sign_verified(
        &self,
        permit: Permit,
        algorithm: Algorithm,
    ) -> Result<Verified, Error> {
        let shared = &self.0.shared;
        let (reply, answer) = oneshot::channel();
        let key = Arc::clone(permit.key());
        shared.submit(Call {
            key: Arc::clone(&key),
            algorithm,
            acceptance: Arc::clone(permit.acceptance()),
            reply,
        })?;
        let Answer { signature, hsm } = answer.await.map_err(|_| Error::Unavailable)??;
        let signing = self.signing_key().ok_or(Error::Unavailable)?;
        match Verified::new(&signing, algorithm, &key, signature) {
            Ok(verified) => {
                shared.verified(hsm);
                Ok(verified)
            }
            Err(_) => Err(shared.quarantine(hsm)),
        }
    }

    /// The key that signs, once an HSM has passed its self-test.
    #[must_use]
    pub fn signing_key(&self) -> Option<Arc<PublicKey>> {
        let key = self.0.shared.key.borrow();
        key.as_ref().map(|key| Arc::clone(&key.public))
    }

    /// Waits until the status of the HSMs is as it should be, and tells it.
    ///
    /// It is looked at whenever an HSM's state or detail changes, not when a call comes or goes.
    pub async fn until(&self, fits: impl Fn(&[HsmStatus]) -> bool) -> Vec<HsmStatus> {
        let mut changes = self.0.shared.changes.subscribe();
        loop {
            let status = self.status();
            // The sender lives as long as this pool, so there is always a next change to wait for.
            if fits(&status) || changes.changed().await.is_err() {
                return status;
            }
        }
    }

    /// Waits for the first HSM to pass its self-test; for ever, if none does.
    pub async fn ready(&self) -> Arc<PublicKey> {
        let mut key = self.0.shared.key.subscribe();
        let known = match key.wait_for(Option::is_some).await {
            Ok(known) => known.as_ref().map(|key| Arc::clone(&key.public)),
            Err(_) => None,
        };
        match known {
            Some(public) => public,
            None => std::future::pending().await,
        }
    }

    /// The algorithms in which the self-test made a signature; empty before it.
    #[must_use]
    pub fn algorithms(&self) -> BTreeSet<Algorithm> {
        let key = self.0.shared.key.borrow();
        key.iter()
            .flat_map(|key| key.trials.keys().copied())
            .collect()
    }

    /// What each HSM is doing.
    #[must_use]
    pub fn status(&self) -> Vec<HsmStatus> {
        self.0.shared.status()
    }

    /// Hands over a PIN for one HSM, by name if there are several, and waits for what becomes of
    /// it.
    ///
    /// Dropping the future gives up the wait; a login that has begun is carried out.
    ///
    /// # Errors
    ///
    /// Fails if the PIN was not used. A PIN that the token refuses is no error here: the status
    /// says so.
    pub async fn unlock(
        &self,
        hsm: Option<&str>,
        pin: SecretString,
        force: bool,
    ) -> Result<HsmStatus, UnlockError> {
        let (index, slot) = unlock::choose(&self.0.slots, hsm)?;
        unlock::refuse_ready(self.status().get(index))?;
        let (state, detail) = slot.offer(pin, force).await?;
        let mut status = self
            .status()
            .into_iter()
            .nth(index)
            .ok_or(UnlockError::Stopped)?;
        // What became of the login, whatever has happened since.
        status.state = state;
        status.detail = detail;
        Ok(status)
    }

    /// Tells the HSMs that refused PINs may be presented again; the latch must be lifted already.
    pub fn present_again(&self) {
        self.0.shared.unlatched.send_replace(());
    }

    /// Ends all workers and answers what still waits with [`Error::Unavailable`].
    pub async fn shutdown(&self) {
        self.0.shared.stop.cancel();
        let supervisors = std::mem::take(&mut *self.0.supervisors());
        for supervisor in supervisors {
            // One that panicked has told so.
            let _ = supervisor.await;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.status()).finish()
    }
}

/// Stops the supervisors when nobody holds the pool any more.
struct Owner {
    shared: Arc<Shared>,
    /// Where PINs are handed over, in the order of the configuration.
    slots: Vec<Slot>,
    supervisors: Mutex<Vec<JoinHandle<()>>>,
}

impl Owner {
    fn supervisors(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.supervisors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
