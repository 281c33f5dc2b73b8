//! The master's side: from a salt-master's own key to the signature file that it serves.
//!
//! The order is the point. As whoever started it, `fetch` reads its own files and Salt's
//! configuration; then it becomes the owner of `pki_dir` for good; only then it touches that
//! directory and the network. What the service answers counts for nothing until it verifies under
//! the pinned `master_sign.pub` with the code that a minion runs, because a wrong file stays
//! unnoticed until the minions fail.

pub mod directory;
pub mod drop_in;
pub mod keys;
pub mod privilege;
pub mod salt_config;
pub mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use minion::verify::{Algorithm, KeyError, KeyHash, PublicKey, Signature, clean_key};
use tokio::time::Instant;
use uuid::Uuid;

use crate::authorize::{Identity, MasterId, Proof, Purpose};
use crate::client::{
    self, Blocking, Client, Credentials, CredentialsError, Put, SignatureDocument,
};
use crate::clock::Clock;
use crate::offline::RequestFile;

use directory::{DirectoryError, FileName, PkiDir};
use keys::{KeysError, MasterKeys};
use privilege::PrivilegeError;
use salt_config::{SaltConfigError, SaltMaster};
use settings::Settings;

/// What was read before privileges were given up.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    credentials: Credentials,
    master: MasterId,
    pinned: PublicKey,
    salt: SaltMaster,
}

impl Prepared {
    /// Reads our own files and Salt's configuration.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong with it.
    pub fn read(settings: Settings) -> Result<Self, Error> {
        let credentials = Credentials::read(&settings.ca, &settings.certificate, &settings.key)
            .map_err(Error::Credentials)?;
        let Identity::Master(master) = credentials.identity().clone() else {
            return Err(Error::NotAMaster(credentials.identity().clone()));
        };
        let pinned = pinned(&settings.master_sign_pub)?;
        let salt = SaltMaster::load(&settings.salt_config).map_err(Error::SaltConfig)?;
        Ok(Self {
            settings,
            credentials,
            master,
            pinned,
            salt,
        })
    }

    /// Enters `pki_dir` as its owner and reads the master's keys.
    ///
    /// # Errors
    ///
    /// As [`privilege::enter`] and [`MasterKeys::read`].
    pub fn enter(self) -> Result<Fetch, Error> {
        let directory =
            privilege::enter(&self.salt.pki_dir, &self.salt.sources).map_err(Error::Privilege)?;
        let keys = if self.salt.key_dir == self.salt.pki_dir {
            MasterKeys::read(&directory, &self.salt)
        } else {
            let shared = privilege::beside(&self.salt.key_dir).map_err(Error::Privilege)?;
            MasterKeys::read(&shared, &self.salt)
        };
        let keys = keys.map_err(Error::Keys)?;
        let name = keys::signature_name(&directory, &self.salt).map_err(Error::Directory)?;
        Ok(Fetch {
            prepared: self,
            directory,
            keys,
            name,
        })
    }
}

/// A fetch that has everything it needs from this machine.
#[derive(Debug)]
pub struct Fetch {
    prepared: Prepared,
    directory: PkiDir,
    keys: MasterKeys,
    name: FileName,
}

impl Fetch {
    /// Asks for the signature, verifies it and writes it.
    ///
    /// With `wait`, a pending key and an error that may pass are asked about again until that much
    /// time is over; `waiting` hears about the first pending answer, because somebody has to
    /// act on it.
    ///
    /// # Errors
    ///
    /// As [`client::Error`] and [`DirectoryError`]; an answer that does not verify is an
    /// [`Outcome`], not an error.
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

    /// Verifies an answer that came as a file, and puts its signature in its place.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn take(&self, answer: &SignatureDocument) -> Result<Outcome, Error> {
        self.settle(answer, true)
    }

    /// The file that salt-master reads.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join(self.name.as_str())
    }

    /// The name of that file.
    #[must_use]
    pub const fn name(&self) -> &FileName {
        &self.name
    }

    /// Whether the file that is there now verifies, in the algorithm that is wanted if one is.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let Ok(Some(content)) = self.directory.read_no_link(&self.name) else {
            return false;
        };
        let Ok(signature) = Signature::from_file(&content) else {
            return false;
        };
        let wanted = self.prepared.settings.algorithm;
        Algorithm::ALL
            .into_iter()
            .filter(|algorithm| wanted.is_none_or(|wanted| wanted == *algorithm))
            .any(|algorithm| {
                let pinned = &self.prepared.pinned;
                pinned
                    .verify(algorithm, &self.keys.public, &signature)
                    .is_ok()
            })
    }

    /// The files that decide what is asked and where it is written.
    #[must_use]
    pub fn sources(&self) -> Vec<PathBuf> {
        let salt = &self.prepared.salt;
        let mut paths: Vec<PathBuf> = salt.sources.iter().map(|it| it.path.clone()).collect();
        paths.push(salt.key_dir.join(format!("{}.pub", salt.key_name)));
        paths.push(self.file());
        paths
    }

    /// Private signing keys that lie beside it.
    #[must_use]
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let configured = format!("{}.pem", self.prepared.salt.sign_key_name);
        let mut names = vec![configured, "master_sign.pem".to_owned()];
        names.dedup();
        names
            .into_iter()
            .filter(|name| !name.contains('/') && self.directory.has(name))
            .map(|name| self.directory.path().join(name))
            .collect()
    }

    /// The master's public key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.keys.public
    }

    /// What an operator should know about this machine, whatever the outcome.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let salt = &self.prepared.salt;
        let mut warnings = Vec::new();
        for path in self.leftovers() {
            warnings.push(format!(
                "{} is a private signing key on a master: whoever reads it owns every minion that trusts it; with \
                 a signature file salt-master does not need it, and a key that lay here is no secret any more",
                path.display()
            ));
        }
        if let Some(user) = &salt.user
            && let Ok(Some(found)) = nix::unistd::User::from_name(user)
            && !found.uid.is_root()
            && found.uid != nix::unistd::geteuid()
        {
            warnings.push(format!(
                "salt-master is configured to run as {user}, who does not own {}",
                self.directory.path().display()
            ));
        }
        warnings
    }

    /// The lines that the master's configuration lacks.
    #[must_use]
    pub fn missing_lines(&self) -> Vec<String> {
        self.prepared.salt.missing_lines(self.name.as_str())
    }

    /// What the file holds now; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`PkiDir::read_no_link`].
    pub fn content(&self) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.directory.read_no_link(&self.name)
    }

    /// The pinned signing key.
    #[must_use]
    pub const fn pinned(&self) -> &PublicKey {
        &self.prepared.pinned
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

    /// Verifies what the service sent and, if `write`, puts it in its place.
    fn settle(&self, document: &SignatureDocument, write: bool) -> Result<Outcome, Error> {
        let mismatch = |why: String| Ok(Outcome::Mismatch { why });
        let algorithm = document.algorithm;
        if let Some(wanted) = self.prepared.settings.algorithm
            && wanted != algorithm
        {
            return mismatch(format!(
                "{wanted} was asked for and {algorithm} was answered"
            ));
        }
        let Some(signature) = document.signature() else {
            return mismatch("the answer is not base64".to_owned());
        };
        let pinned = &self.prepared.pinned;
        if pinned
            .verify(algorithm, &self.keys.public, &signature)
            .is_err()
        {
            return mismatch(format!(
                "the signature is not by {} over this master's key",
                self.prepared.settings.master_sign_pub.display()
            ));
        }
        let content = signature.to_file();
        let current = self
            .directory
            .read_no_link(&self.name)
            .map_err(Error::Directory)?;
        let same = current.as_deref() == Some(content.as_bytes());
        if write && !same {
            self.directory
                .replace(&self.name, content.as_bytes())
                .map_err(Error::Directory)?;
        }
        Ok(match (same, write) {
            (true, _) => Outcome::Unchanged { algorithm },
            (false, true) => Outcome::Written { algorithm },
            (false, false) => Outcome::WouldWrite { algorithm },
        })
    }
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the service sent does not verify; nothing was written.
    Mismatch {
        /// What is wrong with it.
        why: String,
    },
    /// An operator has to accept the key first.
    Pending {
        /// The name under which the operator finds it.
        master: MasterId,
    },
    /// The file was this signature already.
    Unchanged {
        /// How it was made.
        algorithm: Algorithm,
    },
    /// There is no signature yet, so a real run would ask for one.
    WouldAsk,
    /// A real run would write the file.
    WouldWrite {
        /// How the signature was made.
        algorithm: Algorithm,
    },
    /// The file was written.
    Written {
        /// How the signature was made.
        algorithm: Algorithm,
    },
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service could not be asked, or said no.
    #[error("failed to get a signature from the service")]
    Client(#[source] client::Error),
    /// The client certificate or key cannot be used.
    #[error("failed to read this master's client certificate")]
    Credentials(#[source] CredentialsError),
    /// The file cannot be read or written.
    #[error("failed to put the signature in its place")]
    Directory(#[source] DirectoryError),
    /// The master's own keys cannot be used.
    #[error("failed to use this master's keys")]
    Keys(#[source] KeysError),
    /// The certificate is an operator's.
    #[error(
        "the client certificate is {0}, and only a master can fetch; issue one with `mastersign pki issue master ID`"
    )]
    NotAMaster(Identity),
    /// The service signs with another key than the pinned one.
    #[error(
        "the service does not have the pinned signing key {pinned}; it has {theirs}. If the signing key was changed, have \
         the new master_sign.pub confirmed by an operator before it is pinned here"
    )]
    OtherSigningKey {
        /// The pinned key.
        pinned: KeyHash,
        /// What the service names.
        theirs: String,
    },
    /// The pinned key is no key.
    #[error("{} is not the public half of a signing key", path.display())]
    Pinned {
        /// The file.
        path: PathBuf,
        /// What it is.
        #[source]
        source: KeyError,
    },
    /// The directory could not be entered.
    #[error("failed to become the owner of pki_dir")]
    Privilege(#[source] PrivilegeError),
    /// The proof could not be made.
    #[error("failed to sign the proof of possession with the master's private key")]
    Proof(#[source] openssl::error::ErrorStack),
    /// The pinned key cannot be read.
    #[error("failed to read the pinned signing key {}", path.display())]
    ReadPinned {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No runtime could be made.
    #[error("failed to start the network client")]
    Runtime(#[source] std::io::Error),
    /// Salt's configuration does not say what is needed.
    #[error("failed to learn from Salt's configuration where the signature belongs")]
    SaltConfig(#[source] SaltConfigError),
}

impl Error {
    /// Whether somebody may be deceiving this master: the exit code is then that of a failed
    /// verification.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self, Self::OtherSigningKey { .. })
    }
}

fn pinned(path: &Path) -> Result<PublicKey, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::ReadPinned {
        path: path.to_owned(),
        source,
    })?;
    PublicKey::decode(&clean_key(&text)).map_err(|source| Error::Pinned {
        path: path.to_owned(),
        source,
    })
}

/// Operators accept in minutes, not in milliseconds; the first look may come sooner.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
