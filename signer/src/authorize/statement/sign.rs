//! The operator's side: making a signed statement.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::X509;

use super::{SignedStatement, Statement};

impl SignedStatement {
    /// Signs a statement with the admin's private key.
    ///
    /// Of `certificate_pem` the first certificate is taken, and it must be the key's.
    ///
    /// # Errors
    ///
    /// Fails if the key is not ECDSA P-256 or the certificate is another key's; it does not ask who
    /// the certificate belongs to, since only the service's answer to that counts.
    pub fn sign(
        statement: &Statement,
        admin_key: &PKey<Private>,
        certificate_pem: &str,
    ) -> Result<Self, SignError> {
        let curve = admin_key.ec_key().map(|key| key.group().curve_name());
        if !matches!(curve, Ok(Some(Nid::X9_62_PRIME256V1))) {
            return Err(SignError::NotP256);
        }
        let certificate =
            X509::from_pem(certificate_pem.as_bytes()).map_err(SignError::ReadCertificate)?;
        let certified = certificate
            .public_key()
            .map_err(SignError::ReadCertificate)?;
        if !certified.public_eq(admin_key) {
            return Err(SignError::OtherKey);
        }
        let pem = certificate.to_pem().map_err(SignError::ReadCertificate)?;
        let certificate = String::from_utf8_lossy(&pem).into_owned();
        let statement = statement.to_string();
        let signature = Signer::new(MessageDigest::sha256(), admin_key)
            .and_then(|mut signer| signer.sign_oneshot_to_vec(statement.as_bytes()))
            .map_err(SignError::Sign)?;
        Ok(Self {
            statement,
            signature: STANDARD.encode(signature),
            certificate,
        })
    }
}

/// Why a statement could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key of another kind.
    #[error("an admin's key is ECDSA P-256; `mastersign pki issue admin NAME` makes one")]
    NotP256,
    /// The certificate was issued for another key.
    #[error(
        "the certificate does not belong to the key; give the two files that were issued together"
    )]
    OtherKey,
    /// The certificate cannot be read.
    #[error("failed to read the admin's certificate")]
    ReadCertificate(#[source] openssl::error::ErrorStack),
    /// OpenSSL did not sign.
    #[error("failed to sign the statement")]
    Sign(#[source] openssl::error::ErrorStack),
}
