//! A request for a signature as a file, for a signer without a network.
//!
//! It holds what a request over the network shows, and nothing is believed because of the way on
//! which it came: the certificate must come from the masters' authority, its key signed the proof,
//! and so did the master's own key. What TLS proves with a fresh challenge is proved here by a
//! signature with a time in it, so a file counts for as long as the signer says and no longer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webpki::EndEntityCert;

use crate::audit::Actor;
use crate::authorize::{Identity, MasterId, Proof, Purpose};
use crate::client::Credentials;
use crate::clock::Timestamp;
use crate::tls::ClientVerifier;
use crate::tls::peer::{Peer, PeerError};

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFile {
    /// Which form this is.
    pub form: String,
    /// The store that is asked.
    pub store: Uuid,
    /// The master.
    pub master: MasterId,
    /// Its public key, in canonical form.
    pub public_key: String,
    /// What it asks for; the signer's setting if nothing.
    pub algorithm: Option<String>,
    /// When the proof was made.
    pub time: Timestamp,
    /// The proof's signature by the master's key, base64.
    pub proof: String,
    /// The proof's signature by the client certificate's key, base64.
    pub client_proof: String,
    /// The client certificate and its intermediates, PEM.
    pub certificate: String,
}

impl RequestFile {
    /// Makes the file for this master's key.
    ///
    /// # Errors
    ///
    /// Fails if one of the two keys does not sign.
    pub fn make(
        proof: &Proof,
        public: &PublicKey,
        algorithm: Option<Algorithm>,
        master_key: &PKey<Private>,
        credentials: &Credentials,
    ) -> Result<Self, openssl::error::ErrorStack> {
        let text = proof.to_string();
        let client_key = credentials.private_key()?;
        let client_proof = Signer::new(MessageDigest::sha256(), &client_key)?
            .sign_oneshot_to_vec(text.as_bytes())?;
        Ok(Self {
            form: FORM.to_owned(),
            store: proof.store,
            master: proof.master.clone(),
            public_key: public.canonical().to_owned(),
            algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
            time: proof.time,
            proof: STANDARD.encode(proof.sign(master_key)?),
            client_proof: STANDARD.encode(client_proof),
            certificate: credentials.certificate_pem().to_owned(),
        })
    }

    /// Checks what the file claims of who asks and for which key; what it has to prove is left to
    /// [`Claim::prove`].
    ///
    /// # Errors
    ///
    /// Says what does not hold.
    pub fn claim(
        &self,
        store: Uuid,
        clients: &ClientVerifier,
        now: Timestamp,
    ) -> Result<Claim<'_>, OfflineError> {
        if self.form != FORM {
            return Err(OfflineError::Form(self.form.clone()));
        }
        if self.store != store {
            return Err(OfflineError::OtherStore {
                named: self.store,
                ours: store,
            });
        }
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|_| OfflineError::Certificate)?;
        let leaf = chain.first().cloned().ok_or(OfflineError::Certificate)?;
        clients.admit(&chain, now).map_err(OfflineError::Client)?;
        let peer = Peer::from_certificate(&leaf)?;
        if peer.identity != Identity::Master(self.master.clone()) {
            return Err(OfflineError::Identity {
                named: self.master.clone(),
                certificate: peer.identity,
            });
        }
        let key = PublicKey::parse(self.public_key.as_bytes()).map_err(OfflineError::Key)?;
        let algorithm = self.algorithm.as_deref().map(str::parse).transpose();
        Ok(Claim {
            file: self,
            leaf,
            asked: Checked {
                peer,
                key,
                algorithm: algorithm.map_err(OfflineError::Algorithm)?,
            },
        })
    }
}

/// A request by a master whose certificate is in order, which does not prove yet that it asks.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    file: &'a RequestFile,
    leaf: CertificateDer<'static>,
    asked: Checked,
}

impl Claim<'_> {
    /// The key that the request is for.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.asked.key
    }

    /// Who is on record for a proof that was refused: the certificate's holder if its key signed
    /// the request, else whoever hands the file in, for certificates are public.
    #[must_use]
    pub fn actor(&self, refused: &ClaimError, user: u32) -> Actor {
        match refused {
            ClaimError::Master => self.asked.peer.actor(),
            ClaimError::Age { .. } | ClaimError::Client | ClaimError::Encoding => {
                Actor::local(user)
            }
        }
    }

    /// Checks that the master asked lately, with its client key and with its own. The key itself is
    /// judged by the signing service.
    ///
    /// # Errors
    ///
    /// Says which of the proofs does not hold.
    pub fn prove(&self, now: Timestamp, oldest: Duration) -> Result<Checked, ClaimError> {
        let (file, asked) = (self.file, &self.asked);
        let age = file.time.distance(now);
        let ahead = file.time > now;
        if (ahead && age > Proof::TOLERANCE) || (!ahead && age > oldest) {
            return Err(ClaimError::Age {
                time: file.time,
                ours: now,
            });
        }
        let proof = Proof {
            purpose: Purpose::Request,
            store: file.store,
            client_key: asked.peer.client_key,
            key: asked.key.hash(),
            master: file.master.clone(),
            time: file.time,
        };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| ClaimError::Encoding);
        let by_client = decode(&file.client_proof)?;
        let by_master = decode(&file.proof)?;
        if !is_signed_by_certificate(&self.leaf, proof.to_string().as_bytes(), &by_client) {
            return Err(ClaimError::Client);
        }
        if !proof.is_signed_by(&asked.key, &by_master) {
            return Err(ClaimError::Master);
        }
        Ok(asked.clone())
    }
}

/// Who asks, and what for: everything about it was checked.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(crate) peer: Peer,
    pub(crate) key: PublicKey,
    pub(crate) algorithm: Option<Algorithm>,
}

impl Checked {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Client keys are ECDSA P-256: `mastersign pki` makes no others.
fn is_signed_by_certificate(leaf: &CertificateDer<'_>, message: &[u8], signature: &[u8]) -> bool {
    EndEntityCert::try_from(leaf).is_ok_and(|certificate| {
        let algorithm = webpki::aws_lc_rs::ECDSA_P256_SHA256;
        certificate
            .verify_signature(algorithm, message, signature)
            .is_ok()
    })
}

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// An algorithm that Salt does not have.
    #[error("the request asks for an algorithm that Salt does not have")]
    Algorithm(#[source] minion::verify::UnknownAlgorithm),
    /// No certificate in it.
    #[error("the request holds no certificate")]
    Certificate,
    /// The authorities do not vouch for it.
    #[error("the client certificate in the request is refused")]
    Client(#[source] rustls::Error),
    /// Another form, of another version perhaps.
    #[error("the file says {0:?} of itself, and {FORM:?} is what this program reads")]
    Form(String),
    /// The certificate is somebody else's.
    #[error("the request is for {named}, and its certificate is {certificate}")]
    Identity {
        /// Who the request says it is.
        named: MasterId,
        /// Who the certificate says it is.
        certificate: Identity,
    },
    /// Not a key that is signed.
    #[error("the key in the request is none that can be signed")]
    Key(#[source] minion::verify::KeyError),
    /// For another installation.
    #[error("the request is for the store {named}, and this is {ours}")]
    OtherStore {
        /// The store in it.
        named: Uuid,
        /// This one.
        ours: Uuid,
    },
    /// No usable client certificate.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// Why a request proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Too old, or from the future.
    #[error(
        "the request was made at {time} and it is {ours}: make it anew on the master, or allow an \
         older one with --max-age"
    )]
    Age {
        /// The time in it.
        time: Timestamp,
        /// The time here.
        ours: Timestamp,
    },
    /// The client certificate's key did not sign it.
    #[error("the proof by the key of the client certificate does not verify: {ALTERED}")]
    Client,
    /// Not base64.
    #[error("a proof in the request is not base64")]
    Encoding,
    /// The master's own key did not sign it.
    #[error("the proof by the key of master.pem does not verify: {ALTERED}")]
    Master,
}

impl ClaimError {
    /// One word for it, as [`ProofError::reason`](crate::authorize::ProofError::reason) has them.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Age { .. } => "skewed",
            Self::Client => "client-signature",
            Self::Encoding | Self::Master => "signature",
        }
    }
}

const ALTERED: &str = "the file was altered, or made by somebody else";
const FORM: &str = "mastersign-request-v1";
