//! The edge of the service: who may speak to it at all.
//!
//! TLS 1.3 with a client certificate, and nothing that lets a client come back without showing it
//! again: a resumed session skips the verifier, so there are no tickets and no session storage.
//! Clients call rarely and a handshake costs two milliseconds; a revoked one that is let in would
//! cost more.
//!
//! There are two authorities because the masters' one may be used online by this service. Operators
//! are certified by another one that it does not hold, so whoever takes the service cannot make
//! himself an admin.

mod live;
pub mod peer;
mod pem;
mod verifier;

#[cfg(test)]
pub(crate) mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub use self::live::{Admission, Lapsed, Live, Look};
pub use self::pem::PemError;
pub use self::verifier::{Authority, ClientVerifier, VerifierError};
use crate::clock::{Timestamp, TimestampError};
use crate::config;

/// What the API's listener needs, built as a whole so that a reload can replace it as a whole.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For every handshake.
    pub config: Arc<ServerConfig>,
    /// When the service's own certificate ends.
    pub not_after: Timestamp,
    /// Who may speak to the service; also asked again on connections that are open.
    verifier: Arc<ClientVerifier>,
}

impl ServerTls {
    /// Reads the files and puts them together.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read or does not hold what it should, if the certificate has ended
    /// or is not the key's, or if one authority would vouch for masters and operators.
    pub fn load(files: &config::Tls, now: Timestamp) -> Result<Self, TlsError> {
        let chain = pem::certificates(&files.certificate)?;
        let key = pem::private_key(&files.key)?;
        let not_after = match chain.first() {
            Some(certificate) => not_after(certificate),
            None => Err(TimestampError),
        }
        .map_err(|_| TlsError::Certificate {
            path: files.certificate.clone(),
        })?;
        if not_after < now {
            return Err(TlsError::Ended {
                path: files.certificate.clone(),
                not_after,
            });
        }
        let revoked = |path: &Option<PathBuf>| match path {
            Some(path) => pem::revocations(path),
            None => Ok(Vec::new()),
        };
        let verifier = Arc::new(ClientVerifier::with_revocations(
            (
                &pem::authorities(&files.masters_ca)?,
                revoked(&files.masters_crl)?,
            ),
            (
                &pem::authorities(&files.operators_ca)?,
                revoked(&files.operators_crl)?,
            ),
        )?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Versions)?
            .with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::Pair {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            not_after,
            verifier,
        })
    }
}

impl ServerTls {
    /// Who judges client certificates, with the authorities and revocations as they were read.
    #[must_use]
    pub fn verifier(&self) -> &ClientVerifier {
        &self.verifier
    }
}

/// Makes aws-lc-rs the provider of everything in this process that does not name one, such as the
/// HTTP client.
///
/// A second call changes nothing.
pub fn install_provider() {
    // The error is the provider that is installed already, which is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Why the listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The service's certificate is none.
    #[error("the first certificate in {} cannot be read", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// The service's certificate has ended, so no client would accept it.
    #[error("the certificate in {} ended at {not_after}; issue another one", .path.display())]
    Ended {
        /// The file.
        path: PathBuf,
        /// When.
        not_after: Timestamp,
    },
    /// Certificate and key cannot be used together.
    #[error("{} is not the key of the certificate in {}", .key.display(), .certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The two authorities cannot be used.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    /// The cryptographic library has no TLS 1.3.
    #[error("TLS 1.3 cannot be set up")]
    Versions(#[source] rustls::Error),
}

fn not_after(der: &[u8]) -> Result<Timestamp, TimestampError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| TimestampError)?;
    Timestamp::from_unix(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests;
