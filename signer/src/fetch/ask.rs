//! The conversation with the service: which key it signs by, and a proof of the master's own.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Error, Fetch, Outcome};
use crate::authorize::{MasterId, Proof, Purpose};
use crate::client::{Blocking, Client, Put};
use crate::clock::Clock;
use crate::offline::RequestFile;

impl Fetch {
    /// Asks for the signature, verifies it and writes it.
    ///
    /// With `wait`, a pending key and an error that may pass are asked about again until that much
    /// time is over; `waiting` hears about the first pending answer, because somebody has to
    /// act on it.
    ///
    /// # Errors
    ///
    /// As [`client::Error`](crate::client::Error) and
    /// [`DirectoryError`](super::directory::DirectoryError); an answer that does not
    /// verify is an [`Outcome`], not an error.
    pub fn run(
        &self,
        wait: Option<Duration>,
        clock: &dyn Clock,
        waiting: impl FnMut(&MasterId),
    ) -> Result<Outcome, Error> {
        let client = self.client()?;
        let put = Blocking::new()
            .map_err(Error::Runtime)?
            .wait(self.ask_until(&client, wait, clock, waiting))?;
        match put {
            Put::Pending(_) => Ok(Outcome::Pending {
                master: self.prepared.master.clone(),
            }),
            Put::Signed { document, .. } => self.settle(&document, true),
        }
    }

    /// Does everything that changes nothing, neither here nor in the service.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn dry_run(&self) -> Result<Outcome, Error> {
        let client = self.client()?;
        let key = self.keys.public.hash();
        let known = Blocking::new()
            .map_err(Error::Runtime)?
            .wait(client.get_signature(
                key,
                self.prepared.settings.algorithm,
                Some(self.prepared.pinned.hash()),
            ));
        match known {
            Ok(document) => self.settle(&document, false),
            Err(error) if error.status() == Some(404) => Ok(Outcome::WouldAsk),
            Err(error) => Err(Error::Client(error)),
        }
    }

    /// Makes a request for a signer without a network.
    ///
    /// # Errors
    ///
    /// Fails if one of the two keys does not sign.
    pub fn request(&self, store: Uuid, clock: &dyn Clock) -> Result<RequestFile, Error> {
        let credentials = &self.prepared.credentials;
        let proof = Proof {
            purpose: Purpose::Request,
            store,
            client_key: credentials.client_key(),
            key: self.keys.public.hash(),
            master: self.prepared.master.clone(),
            time: clock.now(),
        };
        let algorithm = self.prepared.settings.algorithm;
        RequestFile::make(
            &proof,
            &self.keys.public,
            algorithm,
            &self.keys.private,
            credentials,
        )
        .map_err(Error::Proof)
    }

    /// A connection to the service; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Fails if the address or the certificates cannot be used.
    pub fn client(&self) -> Result<Client, Error> {
        Client::new(&self.prepared.settings.url, &self.prepared.credentials).map_err(Error::Client)
    }

    async fn ask_until(
        &self,
        client: &Client,
        wait: Option<Duration>,
        clock: &dyn Clock,
        mut waiting: impl FnMut(&MasterId),
    ) -> Result<Put, Error> {
        let mut told = false;
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.ask(client, clock).await;
            let may_change = match &answer {
                Ok(Put::Pending(_)) => true,
                Err(Error::Client(error)) => error.is_retryable(),
                Ok(Put::Signed { .. }) | Err(_) => false,
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(left) if may_change && !left.is_zero() => {
                    if answer.is_ok() && !std::mem::replace(&mut told, true) {
                        waiting(&self.prepared.master);
                    }
                    tokio::time::sleep(pause.min(left)).await;
                }
                _ => return answer,
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn ask(&self, client: &Client, clock: &dyn Clock) -> Result<Put, Error> {
        let service = client.signing_keys().await.map_err(Error::Client)?;
        let pinned = self.prepared.pinned.hash();
        if !service.signing_keys.iter().any(|key| key.id == pinned) {
            let theirs = service.signing_keys.iter().map(|key| key.id.to_string());
            return Err(Error::OtherSigningKey {
                pinned,
                theirs: theirs.collect::<Vec<_>>().join(", "),
            });
        }
        let proof = Proof {
            purpose: Purpose::Put,
            store: service.store,
            client_key: self.prepared.credentials.client_key(),
            key: self.keys.public.hash(),
            master: self.prepared.master.clone(),
            time: clock.now(),
        };
        let signed = proof.sign(&self.keys.private).map_err(Error::Proof)?;
        let algorithm = self.prepared.settings.algorithm;
        client
            .put_signature(&self.keys.public, algorithm, proof.time, &signed)
            .await
            .map_err(Error::Client)
    }
}

/// Operators accept in minutes, not in milliseconds; the first look may come sooner.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
