//! Who talks to the service in a test: masters that want a signature, operators that decide.

use anyhow::{Context, Result};
use minion::verify::{Algorithm, KeyHash, PublicKey};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use signer::authorize::{MasterId, Proof, Purpose, SignedStatement, Statement, Verb};
use signer::client::{self, Client, Credentials, Put};
use signer::clock::{Clock, SystemClock};

use crate::pki::{Papers, master_id};
use crate::service::Service;

/// A master with its key pair and its client certificate.
#[derive(Debug)]
pub struct Master {
    key: PKey<Private>,
    public: PublicKey,
    credentials: Credentials,
}

impl Master {
    /// A master with a fresh RSA-2048 key.
    ///
    /// # Errors
    ///
    /// Fails if the papers are not a master's.
    pub fn new(papers: &Papers) -> Result<Self> {
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let public = PublicKey::parse(&key.public_key_to_pem()?)?;
        let credentials = papers.read()?;
        master_id(&credentials)?;
        Ok(Self { key, public, credentials })
    }

    /// Its public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Its id.
    ///
    /// # Errors
    ///
    /// Never: the papers were checked.
    pub fn id(&self) -> Result<&MasterId> {
        master_id(&self.credentials)
    }

    /// A connection to the service.
    ///
    /// # Errors
    ///
    /// Fails if the HTTP client can't be made.
    pub fn connect(&self, service: &Service) -> Result<Client> {
        Ok(Client::new(&service.url(), &self.credentials)?)
    }

    /// Asks for a signature, with a fresh proof.
    ///
    /// # Errors
    ///
    /// What the service, or the way to it, says against it.
    pub async fn put(&self, client: &Client, algorithm: Algorithm) -> Result<Put, client::Error> {
        let store = client.signing_keys().await?.store;
        self.put_for(client, store, algorithm).await
    }

    /// The same, when the store is known already: one request.
    ///
    /// # Errors
    ///
    /// As [`Master::put`].
    pub async fn put_for(
        &self,
        client: &Client,
        store: uuid::Uuid,
        algorithm: Algorithm,
    ) -> Result<Put, client::Error> {
        todo!()
    }
}
