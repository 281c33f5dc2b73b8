//! Whom a client certificate names.
//!
//! A certificate that passed here has one identity and may be used by clients; whether the right
//! authority made it is the verifier's question. The subject is not read at all: tools fill it in
//! by habit. Any second URI is refused too, ours or not, since two places that may say who somebody
//! is are two answers.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::authorize::{Identity, IdentityError};

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
            identity: identity(&certificate)?,
            client_key: sha256(certificate.public_key().raw),
            certificate: sha256(der),
            serial: hex::encode(certificate.raw_serial()),
        })
    }
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The URI is none of ours.
    #[error("the certificate's URI names no identity")]
    Identity(#[source] IdentityError),
    /// No certificate, or one that says something twice.
    #[error("the certificate cannot be read")]
    Malformed,
    /// No URI in the subject alternative names.
    #[error("the certificate has no URI among its alternative names, so it names nobody")]
    NoUri,
    /// Several URIs in the subject alternative names.
    #[error("the certificate has more than one URI among its alternative names")]
    SeveralUris,
    /// A certificate that is not meant for clients.
    #[error("the certificate's extended key usage does not say clientAuth")]
    Usage,
}

fn identity(certificate: &X509Certificate<'_>) -> Result<Identity, PeerError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| PeerError::Malformed)?
        .ok_or(PeerError::NoUri)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| {
        if let GeneralName::URI(uri) = name {
            Some(*uri)
        } else {
            None
        }
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(PeerError::Identity),
        (None, _) => Err(PeerError::NoUri),
        (Some(_), Some(_)) => Err(PeerError::SeveralUris),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
