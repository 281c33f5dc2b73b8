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
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webpki::EndEntityCert;

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

    /// Checks everything that the file claims of who asks; the key itself and its proof are judged
    /// by the signing service.
    ///
    /// # Errors
    ///
    /// Says what does not hold.
    pub fn check(
        &self,
        store: Uuid,
        clients: &ClientVerifier,
        now: Timestamp,
        oldest: Duration,
    ) -> Result<Checked, OfflineError> {
        if self.form != FORM {
            return Err(OfflineError::Form(self.form.clone()));
        }
        if self.store != store {
            return Err(OfflineError::OtherStore {
                named: self.store,
                ours: store,
            });
        }
        let age = self.time.distance(now);
        let ahead = self.time > now;
        if (ahead && age > Proof::TOLERANCE) || (!ahead && age > oldest) {
            return Err(OfflineError::Age {
                time: self.time,
                ours: now,
            });
        }
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|_| OfflineError::Certificate)?;
        let (leaf, intermediates) = chain.split_first().ok_or(OfflineError::Certificate)?;
        let seconds = u64::try_from(now.unix()).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        clients
            .verify_client_cert(leaf, intermediates, at)
            .map_err(OfflineError::Client)?;
        let peer = Peer::from_certificate(leaf)?;
        if peer.identity != Identity::Master(self.master.clone()) {
            return Err(OfflineError::Identity {
                named: self.master.clone(),
                certificate: peer.identity,
            });
        }
        let key = PublicKey::parse(self.public_key.as_bytes()).map_err(OfflineError::Key)?;
        let proof = Proof {
            purpose: Purpose::Request,
            store,
            client_key: peer.client_key,
            key: key.hash(),
            master: self.master.clone(),
            time: self.time,
        };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| OfflineError::Encoding);
        let client_proof = decode(&self.client_proof)?;
        verify_by_certificate(leaf, proof.to_string().as_bytes(), &client_proof)?;
        let by_master = decode(&self.proof)?;
        if !proof.is_signed_by(&key, &by_master) {
            return Err(OfflineError::Proof("master.pem"));
        }
        let algorithm = self.algorithm.as_deref().map(str::parse).transpose();
        Ok(Checked {
            peer,
            key,
            algorithm: algorithm.map_err(OfflineError::Algorithm)?,
        })
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
fn verify_by_certificate(
    leaf: &CertificateDer<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), OfflineError> {
    let certificate = EndEntityCert::try_from(leaf).map_err(|_| OfflineError::Certificate)?;
    certificate
        .verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, message, signature)
        .map_err(|_| OfflineError::Proof("the client certificate"))
}

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
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
    /// An algorithm that Salt does not have.
    #[error("the request asks for an algorithm that Salt does not have")]
    Algorithm(#[source] minion::verify::UnknownAlgorithm),
    /// No certificate in it.
    #[error("the request holds no certificate")]
    Certificate,
    /// The authorities do not vouch for it.
    #[error("the client certificate in the request is refused")]
    Client(#[source] rustls::Error),
    /// Not base64.
    #[error("a proof in the request is not base64")]
    Encoding,
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
    /// A proof that is not by the key that it should be by.
    #[error(
        "the proof by the key of {0} does not verify: the file was altered, or made by somebody \
         else"
    )]
    Proof(&'static str),
}

const FORM: &str = "mastersign-request-v1";
