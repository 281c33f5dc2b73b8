//! The HSM pool as the signing service sees it, and the one moment when its key becomes the
//! store's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use minion::verify::{Algorithm, PublicKey};

use super::readiness::Sources;
use crate::authorize::Permit;
use crate::hsm::{self, Pool, Verified};
use crate::signing::Signer;
use crate::store::backend::BoxFuture;
use crate::store::{SigningKeyError, Store};
use crate::telemetry::Chain;

impl Signer for Pool {
    fn sign(
        &self,
        permit: Permit,
        algorithm: Algorithm,
    ) -> BoxFuture<'_, Result<Verified, hsm::Error>> {
        Box::pin(async move {
            let begin = Instant::now();
            let signed = self.sign_verified(permit, algorithm).await;
            metrics::histogram!("mastersign_hsm_signature_seconds").record(begin.elapsed());
            let result = if signed.is_ok() { "made" } else { "failed" };
            metrics::counter!("mastersign_hsm_signatures_total", "result" => result).increment(1);
            signed
        })
    }

    fn signing_key(&self) -> Option<Arc<PublicKey>> {
        Self::signing_key(self)
    }
}

/// Waits for the first HSM and hands its key to the store, which takes the first one it ever sees.
///
/// Another key than the active one is reported and nothing is signed with it: a token that was
/// exchanged, or a configuration that names the wrong one, must not go unnoticed.
pub(super) async fn register(pool: Pool, store: Store, readiness: Arc<Sources>) {
    let key = pool.ready().await;
    loop {
        match store.add_signing_key(&key).await {
            Ok(()) => {
                tracing::info!(signing_key = %key.hash(), "ready to sign");
                return;
            }
            Err(SigningKeyError::Store(error)) => {
                tracing::error!(error = %Chain(&error), "the signing key cannot be stored");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                let signing_key = key.hash();
                tracing::error!(%signing_key, error = %Chain(&error), "the HSM's key is refused");
                readiness.refuse_key(&error.to_string());
                return;
            }
        }
    }
}

/// A full disk is not emptied faster.
const PAUSE: Duration = Duration::from_secs(5);
