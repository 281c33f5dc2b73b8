//! Whom a client certificate names.
//!
//! A certificate that passed here has one identity and may be used by clients; whether the right
//! authority made it is the verifier's question. The subject is not read at all: tools fill it in
//! by habit.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::audit::Actor;
use crate::authorize::{CertificateError, Identity};

/// The other end of a connection, as its certificate describes it; in the extensions of every
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who is calling.
    pub identity: Identity,
    /// SHA-256 over the certificate's `SubjectPublicKeyInfo`: the key that the handshake proved,
    /// across renewals.
    pub client_key: [u8; 32],
    /// SHA-256 over the whole certificate.
    pub certificate: [u8; 32],
    /// The certificate's serial number in lower-case hex.
    pub serial: String,
}

impl Peer {
    /// Reads a certificate in DER; nothing about its issuer is checked.
    ///
    /// # Errors
    ///
    /// Fails if it is no certificate, not one for clients, or does not name exactly one identity.
    pub fn from_certificate(der: &[u8]) -> Result<Self, PeerError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| PeerError::Malformed)?;
        if !rest.is_empty() {
            return Err(PeerError::Malformed);
        }
        let usage = certificate
            .extended_key_usage()
            .map_err(|_| PeerError::Malformed)?;
        if !usage.is_some_and(|usage| usage.value.client_auth) {
            return Err(PeerError::Usage);
        }
        Ok(Self {
            identity: Identity::from_parsed(&certificate)?,
            client_key: sha256(certificate.public_key().raw),
            certificate: sha256(der),
            serial: hex::encode(certificate.raw_serial()),
        })
    }

    /// As it stands in the audit log.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            identity: self.identity.to_string(),
            certificate: Some(self.certificate),
        }
    }
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It names nobody, or more than one.
    #[error(transparent)]
    Identity(#[from] CertificateError),
    /// No certificate, or one that says something twice.
    #[error("the certificate cannot be read")]
    Malformed,
    /// A certificate that is not meant for clients.
    #[error("the certificate's extended key usage does not say clientAuth")]
    Usage,
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
