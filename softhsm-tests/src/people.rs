//! Who talks to the service in a test: masters that want a signature, operators that decide.

use anyhow::{Result, ensure};
use minion::verify::{Algorithm, KeyHash, PublicKey};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use signer::authorize::{MasterId, Proof, Purpose, SignedStatement, Statement, Verb};
use signer::client::{Client, Credentials, Put};
use signer::clock::{Clock, SystemClock, Timestamp};
use uuid::Uuid;

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
        Self::with_key(papers, PKey::from_rsa(Rsa::generate(2048)?)?)
    }

    /// A master with this key.
    ///
    /// # Errors
    ///
    /// Fails if the papers are not a master's.
    pub fn with_key(papers: &Papers, key: PKey<Private>) -> Result<Self> {
        let public = PublicKey::parse(&key.public_key_to_pem()?)?;
        let credentials = papers.read()?;
        master_id(&credentials)?;
        Ok(Self {
            key,
            public,
            credentials,
        })
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
    pub async fn put(&self, client: &Client, algorithm: Algorithm) -> Result<Put> {
        let store = client.signing_keys().await?.store;
        let Proven { time, signature } = self.prove(store)?;
        let put = client.put_signature(&self.public, Some(algorithm), time, &signature);
        Ok(put.await?)
    }

    /// Proves possession of the key, for any number of requests in the next minutes.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL does.
    pub fn prove(&self, store: Uuid) -> Result<Proven> {
        let time = SystemClock.now();
        let proof = Proof {
            purpose: Purpose::Put,
            store,
            client_key: self.credentials.client_key(),
            key: self.public.hash(),
            master: self.id()?.clone(),
            time,
        };
        Ok(Proven {
            time,
            signature: proof.sign(&self.key)?,
        })
    }
}

/// A signed proof.
#[derive(Clone, Debug)]
pub struct Proven {
    /// When it was made.
    pub time: Timestamp,
    /// The master key's signature.
    pub signature: Vec<u8>,
}

/// Somebody who signs statements.
#[derive(Debug)]
pub struct Operator(Credentials);

impl Operator {
    /// Whoever holds these papers; whether the service believes them is the service's business.
    ///
    /// # Errors
    ///
    /// Fails if the papers can't be read.
    pub fn new(papers: &Papers) -> Result<Self> {
        Ok(Self(papers.read()?))
    }

    /// A connection to the service.
    ///
    /// # Errors
    ///
    /// Fails if the HTTP client can't be made.
    pub fn connect(&self, service: &Service) -> Result<Client> {
        Ok(Client::new(&service.url(), &self.0)?)
    }

    /// Signs a statement and sends nothing.
    ///
    /// # Errors
    ///
    /// Fails if the papers' key is of the wrong kind.
    pub fn sign(&self, statement: &Statement) -> Result<SignedStatement> {
        let key = self.0.private_key()?;
        Ok(SignedStatement::sign(
            statement,
            &key,
            self.0.certificate_pem(),
        )?)
    }

    /// Has a master show its key for the first time, and accepts it.
    ///
    /// # Errors
    ///
    /// What the service says against it; also if the key did not have to wait.
    pub async fn admit(&self, desk: &Client, master: &Master, client: &Client) -> Result<()> {
        let first = master.put(client, Algorithm::Sha1).await?;
        ensure!(matches!(first, Put::Pending(_)), "{first:?}");
        let key = master.public_key().hash();
        self.decide(desk, Verb::Accept, master.id()?, Some(key))
            .await?;
        Ok(())
    }

    /// Signs the decision that comes next for this master and hands it in.
    ///
    /// # Errors
    ///
    /// What the service says against it.
    pub async fn decide(
        &self,
        client: &Client,
        verb: Verb,
        id: &MasterId,
        key: Option<KeyHash>,
    ) -> Result<SignedStatement> {
        let statement = Statement {
            verb,
            store: client.signing_keys().await?.store,
            master: id.clone(),
            key,
            generation: client.master(id).await?.generation.saturating_add(1),
            time: SystemClock.now(),
        };
        let signed = self.sign(&statement)?;
        client.post_statement(id, &signed).await?;
        Ok(signed)
    }
}
