//! Where readiness comes from: the running pool, the store, and what this process knows about
//! itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::api::health;
use crate::confinement::Confinement;
use crate::hsm::Pool;
use crate::store::Store;
use crate::store::backend::{Backend, BoxFuture, Key};
use crate::tls::Live;

/// The parts of a running server that readiness is read from.
pub(super) struct Sources {
    pool: Pool,
    store: Store,
    backend: Arc<dyn Backend>,
    live: Arc<Live>,
    audit_heads: watch::Receiver<Option<String>>,
    confinement: Option<Confinement>,
    draining: AtomicBool,
    refused_key: OnceLock<String>,
}

impl Sources {
    pub(super) fn new(
        pool: Pool,
        store: Store,
        backend: Arc<dyn Backend>,
        live: Arc<Live>,
        audit_heads: watch::Receiver<Option<String>>,
        confinement: Option<Confinement>,
    ) -> Self {
        Self {
            pool,
            store,
            backend,
            live,
            audit_heads,
            confinement,
            draining: AtomicBool::new(false),
            refused_key: OnceLock::new(),
        }
    }

    /// From here on balancers are told to go elsewhere.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The HSM holds another key than the one that signs here.
    pub(super) fn refuse_key(&self, why: &str) {
        // Only the first reason is kept; there is one attempt.
        let _ = self.refused_key.set(why.to_owned());
    }

    async fn is_readable(&self) -> bool {
        let Ok(row) = Key::new("meta/store") else {
            return false;
        };
        let rows = [row];
        let read = tokio::time::timeout(PATIENCE, self.backend.read(&rows)).await;
        matches!(read, Ok(Ok(_)))
    }
}

impl health::Sources for Sources {
    fn facts(&self) -> BoxFuture<'_, health::Facts> {
        Box::pin(async move {
            let readable = self.is_readable().await;
            let state = self.store.state();
            health::Facts {
                draining: self.draining.load(Ordering::Relaxed),
                store_readable: readable,
                quarantined: state.quarantined.len(),
                signing_key: state.active,
                refused_key: self.refused_key.get().cloned(),
                hsms: self.pool.status(),
                certificates: self.live.problem(),
                audit_heads: self.audit_heads.borrow().clone(),
                confinement: self.confinement,
                not_after: self.live.not_after(),
            }
        })
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

/// A row that takes longer than this is not readable for the clients either.
const PATIENCE: Duration = Duration::from_secs(1);
