//! The identity that a certificate carries.
//!
//! This only reads. Whether a CA of ours vouches for the certificate is asked elsewhere, and the
//! answer here is worth nothing before that. Any second URI is refused, ours or not: two places
//! that may say who somebody is are two answers.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Identity, IdentityError};

impl Identity {
    /// Reads the identity from a certificate in DER: the only URI among its subject alternative
    /// names.
    ///
    /// # Errors
    ///
    /// Fails if there is no URI, more than one, or one that names nobody.
    pub fn from_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        Self::from_parsed(&certificate)
    }

    /// The same from a certificate that was parsed, behind which nothing followed.
    ///
    /// # Errors
    ///
    /// As [`from_certificate`](Self::from_certificate).
    pub fn from_parsed(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| CertificateError::Malformed)?;
        let mut uris = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| {
                if let GeneralName::URI(uri) = name {
                    Some(*uri)
                } else {
                    None
                }
            });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri.parse().map_err(CertificateError::Identity),
            (None, _) => Err(CertificateError::NoIdentity),
            (Some(_), Some(_)) => Err(CertificateError::SeveralUris),
        }
    }
}

/// Why a certificate says nothing about who its holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The URI names nobody.
    #[error("the URI in the certificate names nobody")]
    Identity(#[source] IdentityError),
    /// Not one X.509 certificate, or one with a repeated extension.
    #[error("the certificate cannot be read")]
    Malformed,
    /// No URI among the subject alternative names.
    #[error(
        "the certificate has no URI among its alternative names, so it names nobody; the common \
         name is never read"
    )]
    NoIdentity,
    /// More than one URI.
    #[error("the certificate has more than one URI among its alternative names")]
    SeveralUris,
}
