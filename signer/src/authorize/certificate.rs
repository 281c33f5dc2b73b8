//! The identity that a certificate carries.
//!
//! This only reads. Whether a CA of ours vouches for the certificate is asked elsewhere, and the answer here is worth
//! nothing before that.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Identity, IdentityError};

impl Identity {
    /// Reads the identity from a certificate in DER: the only `mastersign:` URI among its subject alternative names.
    ///
    /// # Errors
    ///
    /// Fails if there is no such URI, more than one, or one that names nobody.
    pub fn from_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| CertificateError::Malformed)?;
        let mut uris = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) if is_ours(uri) => Some(*uri),
                _ => None,
            });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri.parse().map_err(CertificateError::Identity),
            (None, _) => Err(CertificateError::NoIdentity),
            (Some(_), Some(_)) => Err(CertificateError::SeveralIdentities),
        }
    }
}

/// Why a certificate says nothing about who its holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The `mastersign:` URI names nobody.
    #[error("the mastersign: URI in the certificate names nobody")]
    Identity(#[source] IdentityError),
    /// Not one X.509 certificate, or one with a repeated extension.
    #[error("not a well-formed X.509 certificate")]
    Malformed,
    /// No `mastersign:` URI among the subject alternative names.
    #[error(
        "the certificate has no mastersign: URI among its subject alternative names; the common name is never read"
    )]
    NoIdentity,
    /// More than one `mastersign:` URI.
    #[error(
        "the certificate has more than one mastersign: URI, so it does not say who its holder is"
    )]
    SeveralIdentities,
}

/// URI schemes know no case; a URI that differs from ours by case only is counted, and then refused by the parser.
fn is_ours(uri: &str) -> bool {
    const SCHEME: &[u8] = b"mastersign:";
    uri.as_bytes()
        .get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}
