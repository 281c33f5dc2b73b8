//! One request for a signature, from the presented key to the durable answer.
//!
//! The order is the safety: what the key is, whether the caller holds it, whether an operator
//! accepted it, and only then the cache or the HSM. Authorization is asked for every request, also
//! for a cached answer, and once more after a wait, so that a revocation counts from the moment it
//! is acknowledged.

mod answer;
mod decide;
mod error;
mod examiner;
mod flight;
mod refusals;

use std::fmt;
use std::sync::Arc;

use minion::verify::{Algorithm, KeyHash, PublicKey};
use sha2::{Digest, Sha256};

use crate::authorize::{
    Denied, Identity, MasterId, OperatorRole, OperatorsCa, Permit, Proof, Purpose, accepted,
    authorize, standing,
};
use crate::cache::{self, Cache};
use crate::clock::{Clock, Timestamp};
use crate::config::Signing;
use crate::hsm::{self, Verified};
use crate::key_policy;
use crate::offline::Checked;
use crate::store::backend::BoxFuture;
use crate::store::{Presented, State, Store, StoredSignature};
use crate::telemetry::Chain;
use crate::tls::peer::Peer;

pub use answer::{Answer, Ready};
pub use error::{DecisionError, Error, FlightError};
pub use examiner::Examiner;
use examiner::Unexamined;
use refusals::Refusals;

/// Where signatures come from.
///
/// The HSM pool in the service; the trait is there so that this module can be tested without a
/// token.
pub trait Signer: fmt::Debug + Send + Sync {
    /// Signs the key that the permit is for; the answer proves that it was verified.
    fn sign(
        &self,
        permit: Permit,
        algorithm: Algorithm,
    ) -> BoxFuture<'_, Result<Verified, hsm::Error>>;

    /// The public half of the key that signs, once an HSM has shown that it holds it.
    fn signing_key(&self) -> Option<Arc<PublicKey>>;
}

/// What the use case stands on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What is known, and the only ways to change it.
    pub store: Store,
    /// Where signatures come from.
    pub signer: Arc<dyn Signer>,
    /// Whose admins decide.
    pub operators: Arc<OperatorsCa>,
    /// Judges the freshness of proofs and statements.
    pub clock: Arc<dyn Clock>,
    /// Looks for weak keys.
    pub examiner: Examiner,
    /// Which algorithm a master gets that names none.
    pub signing: Signing,
}

/// The signing service behind the API.
#[derive(Debug)]
pub struct Service {
    parts: Parts,
    cache: Cache<Arc<Ready>, FlightError>,
    refusals: Refusals,
}

/// A request for a signature, as the caller made it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The hash under which the caller asks.
    pub key: KeyHash,
    /// What it asks for; its master's setting if nothing.
    pub algorithm: Option<Algorithm>,
    /// The PEM text, exactly as sent.
    pub public_key: String,
    /// When the proof was made.
    pub time: Timestamp,
    /// The signature of the proof.
    pub proof: Vec<u8>,
}

/// A request to read a signature that was made before.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// The signed key.
    pub key: KeyHash,
    /// The algorithm; the master's setting if nothing.
    pub algorithm: Option<Algorithm>,
    /// The key that signed; the active one if nothing.
    pub signing_key: Option<KeyHash>,
}

impl Service {
    /// Puts the parts together; nothing runs until the first request.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            cache: Cache::new(),
            refusals: Refusals::default(),
        }
    }

    /// The store that this service works on.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Answers a master that asks for the signature over its key.
    ///
    /// Repeating the call is harmless. A caller that goes away gives up the wait, not the
    /// signature.
    ///
    /// # Errors
    ///
    /// The problem that becomes of it says whether the same request may succeed later.
    pub async fn put(&self, peer: &Peer, request: &Request) -> Result<Answer, Error> {
        let Identity::Master(master) = &peer.identity else {
            return Err(Error::NotAMaster);
        };
        let (key, is_new) = self.recognise(request)?;
        self.prove(peer, master, &key, request).await?;
        if is_new {
            self.parts.examine(&key).await?;
        }
        self.serve(peer, master, key, request.algorithm).await
    }

    /// Answers a request that came as a file and was checked as one: its proof is in it.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn put_file(&self, asked: &Checked) -> Result<Answer, Error> {
        let Identity::Master(master) = &asked.peer.identity else {
            return Err(Error::NotAMaster);
        };
        let signing_keys = self.parts.signing_keys();
        key_policy::check(&asked.key, signing_keys.iter().map(AsRef::as_ref))?;
        let key = Arc::new(asked.key.clone());
        self.parts.examine(&key).await?;
        self.serve(&asked.peer, master, key, asked.algorithm).await
    }

    /// The permit, then the signature: what does not hang on how the request came.
    async fn serve(
        &self,
        peer: &Peer,
        master: &MasterId,
        key: Arc<PublicKey>,
        algorithm: Option<Algorithm>,
    ) -> Result<Answer, Error> {
        let algorithm = self.algorithm(algorithm, master);
        for _ in 0..ATTEMPTS {
            let Some(permit) = self.admit(peer, master, &key).await? else {
                return Ok(Answer::Pending(key));
            };
            let name = self.name(&key, algorithm)?;
            if let Some(ready) = self.cache.get(&name) {
                return Ok(signed(false, ready));
            }
            match self.make(name, permit).await {
                Err(error) if error.is_outdated() => {}
                Err(error) => return Err(error),
                Ok(found) => {
                    self.permit(peer, &key)?;
                    return Ok(signed(found.made && found.value.is_new(), found.value));
                }
            }
        }
        Err(Error::Contended)
    }

    /// Reads a signature that was made before; never signs.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put). A master that asks for a key that is not its own learns no more than
    /// that there is nothing.
    pub async fn get(&self, peer: &Peer, lookup: &Lookup) -> Result<Arc<Ready>, Error> {
        let (name, stored) = {
            let state = self.parts.store.state();
            let (name, stored) = self.find(peer, lookup, &state)?;
            (name, Arc::clone(stored))
        };
        if !is_owner(peer, &stored) {
            self.note_reader(peer, &stored).await?;
            // That was a wait, in which the key may have been revoked.
            self.find(peer, lookup, &self.parts.store.state())?;
        }
        if let Some(ready) = self.cache.get(&name) {
            return Ok(ready);
        }
        let ready = Arc::new(Ready::stored(stored));
        self.cache.insert(name, Arc::clone(&ready));
        Ok(ready)
    }

    /// As [`get`](Self::get), for a master that has what it asks for and asks again: everything is
    /// decided anew, and nothing is waited for. None for all other calls.
    #[must_use]
    pub fn get_at_once(&self, peer: &Peer, lookup: &Lookup) -> Option<Arc<Ready>> {
        let state = self.parts.store.state();
        let (name, stored) = self.find(peer, lookup, &state).ok()?;
        is_owner(peer, stored)
            .then(|| self.cache.hit(&name))
            .flatten()
    }

    /// The signature that is asked for, if the caller may read it.
    fn find<'a>(
        &self,
        peer: &Peer,
        lookup: &Lookup,
        state: &'a State,
    ) -> Result<(cache::Key, &'a Arc<StoredSignature>), Error> {
        let master = self.reader(peer, state, lookup.key)?;
        let signing_key = lookup.signing_key.or(state.active);
        let name = cache::Key {
            signing_key: signing_key.ok_or(Error::NoSigningKey)?,
            algorithm: self.algorithm(lookup.algorithm, master),
            key: lookup.key,
        };
        let stored = state.signature(name.signing_key, name.algorithm, name.key);
        stored.map(|stored| (name, stored)).ok_or(Error::NotSigned)
    }

    /// Takes note of everybody who gets a signature for the first time. The master that it was made
    /// for is named by the record of the signature itself.
    async fn note_reader(&self, peer: &Peer, stored: &Arc<StoredSignature>) -> Result<(), Error> {
        let noted = self.parts.store.serve(&peer.actor(), stored).await;
        noted.map_err(Error::Note)
    }

    /// How many requests wait for a signature that is being made.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.cache.waiting()
    }

    /// Waits for the signatures that are being made.
    pub async fn close(&self) {
        self.cache.close().await;
    }

    /// The presented key, and whether it is new: a text that was admitted before is known by its
    /// hash and not parsed again.
    fn recognise(&self, request: &Request) -> Result<(Arc<PublicKey>, bool), Error> {
        let text = request.public_key.as_bytes();
        let signed = text.strip_suffix(b"\n").unwrap_or(text);
        if request.key == KeyHash::new(Sha256::digest(signed).into()) {
            let state = self.parts.store.state();
            if let Some((_, record)) = state.key(&request.key)
                && let Some(key) = &record.key
            {
                return Ok((Arc::clone(key), false));
            }
        }
        let signing_keys = self.parts.signing_keys();
        let key = key_policy::admit(text, signing_keys.iter().map(AsRef::as_ref))?;
        if key.hash() == request.key {
            Ok((Arc::new(key), true))
        } else {
            Err(Error::OtherHash {
                path: request.key,
                body: key.hash(),
            })
        }
    }

    async fn prove(
        &self,
        peer: &Peer,
        master: &MasterId,
        key: &PublicKey,
        request: &Request,
    ) -> Result<(), Error> {
        let proof = Proof {
            purpose: Purpose::Put,
            store: self.parts.store.uuid(),
            client_key: peer.client_key,
            key: key.hash(),
            master: master.clone(),
            time: request.time,
        };
        let now = self.parts.clock.now();
        let Err(error) = proof.verify(key, &request.proof, now) else {
            return Ok(());
        };
        if let Some(unrecorded) = self.refusals.admit(master, now) {
            let (store, actor) = (&self.parts.store, peer.actor());
            let noted = store.refuse_proof(actor, master, key.hash(), error.reason(), unrecorded);
            if let Err(error) = noted.await {
                // It is refused all the same.
                tracing::error!(error = %Chain(&error), "a refused proof was not recorded");
            }
        }
        Err(error.into())
    }

    fn permit(&self, peer: &Peer, key: &Arc<PublicKey>) -> Result<Permit, Denied> {
        let master = match &peer.identity {
            Identity::Master(id) => self.parts.store.state().master(id).cloned(),
            Identity::Operator { .. } => None,
        };
        authorize(
            &peer.identity,
            Arc::clone(key),
            master.as_deref(),
            &self.parts.operators,
            self.parts.store.uuid(),
        )
    }

    /// The permit; none while the key waits for an operator. A key that is new is recorded for
    /// them.
    async fn admit(
        &self,
        peer: &Peer,
        master: &MasterId,
        key: &Arc<PublicKey>,
    ) -> Result<Option<Permit>, Error> {
        match self.permit(peer, key) {
            Ok(permit) => return Ok(Some(permit)),
            Err(Denied::Pending) => return Ok(None),
            Err(Denied::Unknown) => {}
            Err(denied) => return Err(denied.into()),
        }
        let presented = self.parts.store.present(master, key, &peer.actor()).await;
        let denied = match presented.map_err(Error::Present)? {
            Presented::Accepted => return Ok(self.permit(peer, key).map(Some)?),
            Presented::Pending { .. } => return Ok(None),
            Presented::Denied { .. } => Denied::OtherKey,
            Presented::HeldBy(_) => Denied::NotYours,
            Presented::Quarantined => Denied::Quarantined,
            Presented::Rejected => Denied::Rejected,
            Presented::Revoked => Denied::Revoked,
        };
        Err(denied.into())
    }

    fn name(&self, key: &PublicKey, algorithm: Algorithm) -> Result<cache::Key, Error> {
        Ok(cache::Key {
            signing_key: self.parts.store.state().active.ok_or(Error::NoSigningKey)?,
            algorithm,
            key: key.hash(),
        })
    }

    async fn make(
        &self,
        name: cache::Key,
        permit: Permit,
    ) -> Result<cache::Found<Arc<Ready>>, Error> {
        let work = flight::fly(self.parts.clone(), name, permit);
        let found = self.cache.get_or_make(name, work).await;
        found.map_err(|failure| match failure {
            cache::Failure::Died => Error::Died,
            cache::Failure::Work(error) => Error::Flight(error),
        })
    }

    /// The master whose key is asked for, if the caller may read signatures over it.
    fn reader<'a>(
        &self,
        peer: &Peer,
        state: &'a State,
        key: KeyHash,
    ) -> Result<&'a MasterId, Error> {
        match &peer.identity {
            Identity::Master(id) => {
                let master = state.master(id);
                let record = master.and_then(|master| master.keys.get(&key));
                if record.is_none_or(|record| record.key.is_none()) {
                    return Err(Denied::Unknown.into());
                }
                let (operators, store) = (&self.parts.operators, self.parts.store.uuid());
                let master = master.map(AsRef::as_ref);
                let (master, _) = accepted(&peer.identity, key, master, operators, store)?;
                Ok(&master.id)
            }
            Identity::Operator {
                role: OperatorRole::Admin,
                ..
            } => {
                let (master, _) = state.key(&key).ok_or(Denied::Unknown)?;
                standing(master, key)?;
                Ok(&master.id)
            }
            Identity::Operator { .. } => Err(Error::NotAReader),
        }
    }

    fn algorithm(&self, wanted: Option<Algorithm>, master: &MasterId) -> Algorithm {
        let signing = &self.parts.signing;
        let setting = signing.masters.get(master).copied();
        wanted.or(setting).unwrap_or(signing.default_algorithm)
    }
}

impl Parts {
    /// Looks for weaknesses of a key, once while this process lives.
    ///
    /// Every key on record counts, whatever was decided about it: who has one of two keys with a
    /// common prime can compute the other one, and a revocation takes nothing from whoever has it.
    async fn examine(&self, key: &Arc<PublicKey>) -> Result<(), Unexamined> {
        let known = || {
            let state = self.store.state();
            let masters = state.masters.values();
            let records = masters.flat_map(|master| master.keys.values());
            let mut keys: Vec<_> = records.filter_map(|record| record.key.clone()).collect();
            keys.extend(
                state
                    .signing_keys
                    .values()
                    .map(|record| Arc::clone(&record.key)),
            );
            keys
        };
        self.examiner.examine(key, known).await
    }

    /// Every key that signs or signed, which is never signed itself.
    fn signing_keys(&self) -> Vec<Arc<PublicKey>> {
        let state = self.store.state();
        let stored = state.signing_keys.values().map(|record| &record.key);
        stored.cloned().chain(self.signer.signing_key()).collect()
    }
}

/// Whether the signature was made for the caller.
fn is_owner(peer: &Peer, stored: &StoredSignature) -> bool {
    matches!(&peer.identity, Identity::Master(id) if *id == stored.master)
}

fn signed(new: bool, ready: Arc<Ready>) -> Answer {
    let algorithm = ready.signature().algorithm.name();
    let source = if new { "hsm" } else { "store" };
    metrics::counter!(SIGNATURES, "algorithm" => algorithm, "source" => source).increment(1);
    Answer::Signed { new, ready }
}

/// Counts signatures that were handed out, by where they came from; SHA-1 among them is what to
/// move away from.
const SIGNATURES: &str = "mastersign_signatures_total";
/// An operator's decisions about a master may overtake its request; so many in a row do not happen
/// by themselves.
const ATTEMPTS: usize = 3;
