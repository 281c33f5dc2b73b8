//! What a client shows and whom it believes: its certificate and key, and the CA of the service.
//!
//! Everything is read at once, before anything else happens, because `fetch` reads its own files as
//! root and goes on as somebody who cannot. The private key of a client is refused when others may
//! read it: whoever copies it can ask in this master's or this operator's name.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::pkey::{PKey, Private};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::authorize::{CertificateError, Identity};

/// A client certificate with its key, and the CA certificates that may vouch for the service.
pub struct Credentials {
    authority: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    certificate_pem: String,
    key_pem: Zeroizing<Vec<u8>>,
    client_key: [u8; 32],
    identity: Identity,
}

impl Credentials {
    /// Reads the three PEM files.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong with it.
    pub fn read(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let authority = certificates(ca, &read(ca)?)?;
        let certificate_pem = read(certificate)?;
        let chain = certificates(certificate, &certificate_pem)?;
        let key_pem = read_private_key(key)?;
        let malformed = |source| CredentialsError::Identity {
            path: certificate.to_owned(),
            source,
        };
        let leaf = chain
            .first()
            .ok_or_else(|| malformed(CertificateError::Malformed))?;
        let identity = Identity::from_certificate(leaf).map_err(malformed)?;
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|_| malformed(CertificateError::Malformed))?;
        let client_key = Sha256::digest(parsed.public_key().raw).into();
        let certificate_pem = String::from_utf8(certificate_pem)
            .map_err(|_| malformed(CertificateError::Malformed))?;
        PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| CredentialsError::NoKey {
            path: key.to_owned(),
        })?;
        Ok(Self {
            authority,
            chain,
            certificate_pem,
            key_pem,
            client_key,
            identity,
        })
    }

    /// SHA-256 of the client key's `SubjectPublicKeyInfo` in DER, as a proof names it.
    #[must_use]
    pub const fn client_key(&self) -> [u8; 32] {
        self.client_key
    }

    /// Who the certificate belongs to.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The certificate file as it was read.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, for signing a statement with it.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL does not know the kind of key.
    pub fn private_key(&self) -> Result<PKey<Private>, openssl::error::ErrorStack> {
        // Without a callback OpenSSL would ask whoever sits at the terminal for a pass phrase.
        PKey::private_key_from_pem_callback(&self.key_pem, |_| Ok(0))
    }

    /// TLS 1.3 with our own CA file, and no ticket that would outlive a revocation.
    pub(super) fn tls(&self) -> Result<ClientConfig, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.authority {
            roots
                .add(certificate.clone())
                .map_err(CredentialsError::Authority)?;
        }
        let key =
            PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|_| CredentialsError::NoKey {
                path: PathBuf::new(),
            })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(CredentialsError::Pair)?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), key)
            .map_err(CredentialsError::Pair)?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Why a client has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A CA certificate that TLS cannot use.
    #[error("the CA file holds a certificate that cannot vouch for anybody")]
    Authority(#[source] rustls::Error),
    /// The client certificate says nothing about who its holder is.
    #[error("failed to read an identity from the client certificate {}", path.display())]
    Identity {
        /// The certificate file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// A file without a certificate.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file without a private key.
    #[error(
        "{} holds no unencrypted private key in PEM; `mastersign pki issue` writes such a file",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the private key.
    #[error(
        "the private key {} may be read or written by everybody on this machine (mode {mode:04o}); \
         consider it copied: have a new one issued, or, if nobody else ever was on this machine, \
         `chmod 600` it",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Certificate and key do not belong together.
    #[error(
        "the client certificate and the private key do not fit together or cannot be used for TLS"
    )]
    Pair(#[source] rustls::Error),
    /// A file that cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(CredentialsError::NoCertificate {
            path: path.to_owned(),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    content(path, |_| Ok(()))
}

/// Reads the file of a client's private key, which not everybody may read.
///
/// # Errors
///
/// Fails if everybody may, or if it cannot be read.
pub fn read_private_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialsError> {
    let read = content(path, |mode| {
        if mode & 0o007 == 0 {
            return Ok(());
        }
        Err(CredentialsError::Open {
            path: path.to_owned(),
            mode: mode & 0o7777,
        })
    });
    read.map(Zeroizing::new)
}

/// Reads a file after its mode was judged on the open descriptor.
fn content(
    path: &Path,
    judge: impl FnOnce(u32) -> Result<(), CredentialsError>,
) -> Result<Vec<u8>, CredentialsError> {
    let failed = |source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    judge(file.metadata().map_err(failed)?.permissions().mode())?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// A bundle of some hundred CA certificates.
const LARGEST_FILE: u64 = 256 * 1024;
