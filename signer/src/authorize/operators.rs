//! The operators' CA, and the check of what its admins signed.
//!
//! A statement is judged at the time that it names, because it must go on counting when the
//! certificate has run out: accepted masters do not become unaccepted because an admin renewed a
//! certificate. So nothing here asks for the time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::KeyHash;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::remembered::{Name, Remembered};
use super::{
    CheckedStatement, Decision, Identity, OperatorRole, SignedStatement, Statement, StatementError,
    Verb,
};
use crate::clock::Timestamp;

/// The certificate authority whose admins decide about masters.
///
/// It remembers the certificates and the statements that it found good: a worker asks about the same
/// few certificates for every signature, and the service about the same statement for every request
/// of a master.
pub struct OperatorsCa {
    anchors: Vec<TrustAnchor<'static>>,
    known: Mutex<HashMap<String, Arc<AdminCertificate>>>,
    remembered: Remembered,
}

impl OperatorsCa {
    /// Reads one or more CA certificates in PEM; more than one while a CA is being replaced.
    ///
    /// # Errors
    ///
    /// Fails if the file holds no certificate, or one that cannot be a trust anchor.
    pub fn from_pem(pem: &[u8]) -> Result<Self, OperatorsCaError> {
        let anchors = CertificateDer::pem_slice_iter(pem)
            .map(|certificate| {
                let certificate = certificate.map_err(|_| OperatorsCaError::Pem)?;
                let anchor = webpki::anchor_from_trusted_cert(&certificate)
                    .map_err(OperatorsCaError::Anchor)?;
                Ok(anchor.to_owned())
            })
            .collect::<Result<Vec<_>, _>>()?;
        if anchors.is_empty() {
            return Err(OperatorsCaError::Empty);
        }
        Ok(Self {
            anchors,
            known: Mutex::default(),
            remembered: Remembered::default(),
        })
    }

    /// Checks that an admin under this CA signed the statement, with a certificate that was valid
    /// at its time.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text, the certificate or the signature; none is worth a retry
    /// with the same bytes.
    pub fn check(&self, signed: &SignedStatement) -> Result<CheckedStatement, StatementError> {
        let decision = self.decision(signed)?;
        Ok(CheckedStatement::new(decision, signed.clone()))
    }

    /// Checks that the statement is an admin's acceptance of this key in this store.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check); also if the statement is good but says something else.
    pub fn check_acceptance(
        &self,
        signed: &SignedStatement,
        store: Uuid,
        key: KeyHash,
    ) -> Result<Arc<Decision>, StatementError> {
        let decision = self.decision(signed)?;
        accepts(&decision, store, key)?;
        Ok(decision)
    }

    /// The same for a statement that is kept in memory, which is known again without a look at it.
    ///
    /// # Errors
    ///
    /// As [`check_acceptance`](Self::check_acceptance).
    pub fn check_kept_acceptance(
        &self,
        signed: &Arc<SignedStatement>,
        store: Uuid,
        key: KeyHash,
    ) -> Result<Arc<Decision>, StatementError> {
        let decision = match self.remembered.kept(signed) {
            Some(decision) => decision,
            None => {
                let decision = self.decision(signed)?;
                self.remembered.keep(signed, Arc::clone(&decision));
                decision
            }
        };
        accepts(&decision, store, key)?;
        Ok(decision)
    }

    fn decision(&self, signed: &SignedStatement) -> Result<Arc<Decision>, StatementError> {
        let name = Name::of(signed);
        if let Some(decision) = self.remembered.get(name) {
            return Ok(decision);
        }
        let decision = Arc::new(self.judge(signed)?);
        self.remembered.insert(name, Arc::clone(&decision));
        Ok(decision)
    }

    fn judge(&self, signed: &SignedStatement) -> Result<Decision, StatementError> {
        let statement: Statement = signed.statement.parse()?;
        let admin = self.admin_certificate(&signed.certificate, statement.time)?;
        let signature = STANDARD
            .decode(&signed.signature)
            .map_err(|_| StatementError::Signature)?;
        EndEntityCert::try_from(&admin.der)
            .and_then(|certificate| {
                certificate.verify_signature(
                    webpki::aws_lc_rs::ECDSA_P256_SHA256,
                    signed.statement.as_bytes(),
                    &signature,
                )
            })
            .map_err(|_| StatementError::Signature)?;
        Ok(Decision::new(statement, admin.name.clone(), admin.hash))
    }

    fn admin_certificate(
        &self,
        pem: &str,
        time: Timestamp,
    ) -> Result<Arc<AdminCertificate>, StatementError> {
        let known = self.known().get(pem).cloned();
        if let Some(admin) = known.filter(|admin| admin.is_valid_at(time)) {
            return Ok(admin);
        }
        let admin = AdminCertificate::verify(pem, time, &self.anchors)
            .map(Arc::new)
            .map_err(|reason| StatementError::Certificate { reason })?;
        let mut known = self.known();
        if known.len() >= KNOWN_CERTIFICATES {
            known.clear();
        }
        known.insert(pem.to_owned(), Arc::clone(&admin));
        Ok(admin)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<AdminCertificate>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OperatorsCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorsCa")
            .field("anchors", &self.anchors.len())
            .finish_non_exhaustive()
    }
}

fn accepts(decision: &Decision, store: Uuid, key: KeyHash) -> Result<(), StatementError> {
    let statement = decision.statement();
    if statement.verb != Verb::Accept {
        return Err(StatementError::NotAnAcceptance);
    }
    if statement.store != store {
        return Err(StatementError::OtherStore {
            named: statement.store,
        });
    }
    if statement.key != Some(key) {
        return Err(StatementError::OtherKey);
    }
    Ok(())
}

/// Why a file is not the operators' CA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorsCaError {
    /// A certificate that cannot be a trust anchor.
    #[error("a certificate in the operators' CA file cannot be a trust anchor")]
    Anchor(#[source] webpki::Error),
    /// No certificate at all.
    #[error("the operators' CA file holds no PEM certificate")]
    Empty,
    /// Damaged PEM.
    #[error("the operators' CA file is not well-formed PEM")]
    Pem,
}

/// A certificate of an admin that chains to the CA at any time between its two dates.
///
/// Between them the answer cannot change: the chain is one certificate below the trust anchor, an
/// anchor has no dates, and nothing but the dates depends on the time.
struct AdminCertificate {
    der: CertificateDer<'static>,
    hash: [u8; 32],
    name: String,
    not_before: i64,
    not_after: i64,
}

impl AdminCertificate {
    fn verify(
        pem: &str,
        time: Timestamp,
        anchors: &[TrustAnchor<'static>],
    ) -> Result<Self, String> {
        let der = only_certificate(pem)?;
        let seconds = u64::try_from(time.unix()).map_err(|_| "the time is before 1970")?;
        EndEntityCert::try_from(&der)
            .and_then(|certificate| {
                certificate
                    .verify_for_usage(
                        webpki::ALL_VERIFICATION_ALGS,
                        anchors,
                        &[],
                        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                        KeyUsage::required(CLIENT_AUTH),
                        None,
                        None,
                    )
                    .map(drop)
            })
            .map_err(|error| chain_reason(&error, time))?;
        let name = match Identity::from_certificate(&der) {
            Ok(Identity::Operator {
                role: OperatorRole::Admin,
                name,
            }) => name,
            Ok(other) => return Err(format!("it belongs to {other}, who is no admin")),
            Err(error) => return Err(error.to_string()),
        };
        let (not_before, not_after) = {
            let (_, parsed) =
                X509Certificate::from_der(&der).map_err(|_| "it is not well-formed")?;
            let validity = parsed.validity();
            (
                validity.not_before.timestamp(),
                validity.not_after.timestamp(),
            )
        };
        Ok(Self {
            hash: Sha256::digest(&der).into(),
            der,
            name,
            not_before,
            not_after,
        })
    }

    fn is_valid_at(&self, time: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&time.unix())
    }
}

fn only_certificate(pem: &str) -> Result<CertificateDer<'static>, String> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (certificates.next(), certificates.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate),
        (None, _) => Err("there is no PEM certificate".to_owned()),
        (Some(Ok(_)), Some(_)) => Err("there is more than one certificate".to_owned()),
        (Some(Err(_)), _) => Err("the PEM text is damaged".to_owned()),
    }
}

fn chain_reason(error: &webpki::Error, time: Timestamp) -> String {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the foreign enum is non_exhaustive; all of it is a refusal"
    )]
    match error {
        webpki::Error::UnknownIssuer => "another CA issued it".to_owned(),
        webpki::Error::CertExpired { .. } => format!("it had expired by {time}"),
        webpki::Error::CertNotValidYet { .. } => format!("it was not valid yet at {time}"),
        webpki::Error::CaUsedAsEndEntity => "it is a CA's own certificate".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Installations have a handful of admins; when a flood of others pushes them out, they are checked
/// again.
const KNOWN_CERTIFICATES: usize = 64;

/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2 (RFC 5280, section 4.2.1.12), as the content octets of its
/// DER encoding.
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

#[cfg(test)]
mod tests;
