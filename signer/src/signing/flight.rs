//! Making a signature that is not in the cache: from the store, else from the HSM.
//!
//! One of these runs per missing signature, however many callers wait for it.

use std::sync::Arc;

use super::{FlightError, Parts, Ready};
use crate::authorize::Permit;
use crate::store::Publication;
use crate::{cache, key_policy};

/// Finds or makes the signature, and ends when it is durable.
pub(super) async fn fly(
    parts: Parts,
    name: cache::Key,
    permit: Permit,
) -> Result<Arc<Ready>, FlightError> {
    let stored = {
        let state = parts.store.state();
        let stored = state.signature(name.signing_key, name.algorithm, name.key);
        stored.cloned()
    };
    if let Some(stored) = stored {
        return Ok(Arc::new(Ready::stored(stored)));
    }
    let key = Arc::clone(permit.key());
    parts.examine(&key).await?;
    let signing_keys = parts.signing_keys();
    key_policy::differs(&key, signing_keys.iter().map(AsRef::as_ref))?;
    if !signing_keys
        .iter()
        .any(|known| known.hash() == name.signing_key)
    {
        return Err(FlightError::OtherSigningKey);
    }
    let ready = parts.signer.signing_key();
    if ready.is_some_and(|ready| ready.hash() != name.signing_key) {
        return Err(FlightError::OtherSigningKey);
    }
    let _announced = parts.store.announce();
    let (master, generation) = (permit.master().clone(), permit.generation());
    let verified = parts.signer.sign(permit, name.algorithm).await?;
    let signature = verified
        .take(name.signing_key, name.algorithm, key.hash())
        .ok_or(FlightError::OtherSigningKey)?;
    let publication = Publication {
        signing_key: name.signing_key,
        algorithm: name.algorithm,
        key,
        master,
        generation,
        signature,
    };
    let stored = parts.store.publish(publication).await?;
    Ok(Arc::new(Ready::made(stored)))
}
