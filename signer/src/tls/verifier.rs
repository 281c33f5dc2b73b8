//! Which authority must have issued a client's certificate.
//!
//! The identity in the certificate decides it: a master's has to come from the masters' authority,
//! everybody else's from the operators'. The other way round (any authority, then a look at who it
//! was) would make every later check of a role depend on a comparison that somebody may forget;
//! here a master's authority that says `admin` is an unknown issuer, and the handshake ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::peer::Peer;
use crate::authorize::Identity;
use crate::clock::Timestamp;

/// Checks the chain of a client against the authority for its identity.
#[derive(Debug)]
pub struct ClientVerifier {
    masters: Arc<dyn ClientCertVerifier>,
    operators: Arc<dyn ClientCertVerifier>,
    /// The names of both, so that a client with several certificates finds the right one.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    /// A verifier for the two authorities, each given by its certificates, without revocations.
    ///
    /// # Errors
    ///
    /// As [`with_revocations`](Self::with_revocations).
    pub fn new(
        masters: &[CertificateDer<'_>],
        operators: &[CertificateDer<'_>],
    ) -> Result<Self, VerifierError> {
        Self::with_revocations((masters, Vec::new()), (operators, Vec::new()))
    }

    /// A verifier for the two authorities, each given by its certificates and its revocation lists.
    /// An authority that has a list is asked about every certificate; what no list covers is
    /// refused.
    ///
    /// # Errors
    ///
    /// Fails if one of them cannot be a trust anchor, if a key is in both, or if the operators'
    /// authority issued the masters'.
    pub fn with_revocations(
        (masters, masters_revoked): (&[CertificateDer<'_>], Revocations),
        (operators, operators_revoked): (&[CertificateDer<'_>], Revocations),
    ) -> Result<Self, VerifierError> {
        let known = keys(masters, Authority::Masters)?;
        if !known.is_disjoint(&keys(operators, Authority::Operators)?) {
            return Err(VerifierError::SameKey);
        }
        for authority in masters {
            for issuer in operators {
                if is_issued_by(authority, issuer)? {
                    return Err(VerifierError::Subordinate);
                }
            }
        }
        let masters = chain_verifier(masters, masters_revoked, Authority::Masters)?;
        let operators = chain_verifier(operators, operators_revoked, Authority::Operators)?;
        let hints = [masters.root_hint_subjects(), operators.root_hint_subjects()].concat();
        Ok(Self {
            masters,
            operators,
            hints,
        })
    }
}

impl ClientVerifier {
    /// Judges a client that made no connection, whose certificate came as a file, as a handshake
    /// would; the certificate comes first, its intermediates behind it.
    ///
    /// # Errors
    ///
    /// Fails as the handshake would, also if there is no certificate.
    pub fn admit(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), rustls::Error> {
        let (leaf, others) = chain
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        let seconds = u64::try_from(now.unix()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verify_client_cert(leaf, others, now).map(|_| ())
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let peer = Peer::from_certificate(end_entity)
            .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        // An operator's comes from the authority itself, as for statements: whom that certified as
        // an authority besides, for masters perhaps, does not make operators.
        let (authority, intermediates) = match peer.identity {
            Identity::Master(_) => (&self.masters, intermediates),
            Identity::Operator { .. } => (&self.operators, NONE),
        };
        authority
            .verify_client_cert(end_entity, intermediates, now)
            .inspect_err(|error| {
                tracing::info!(
                    identity = %peer.identity,
                    certificate = %hex::encode(peer.certificate),
                    serial = %peer.serial,
                    %error,
                    "client certificate refused"
                );
            })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.masters
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.masters.supported_verify_schemes()
    }
}

/// One of the two authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Vouches for masters.
    Masters,
    /// Vouches for operators.
    Operators,
}

impl Authority {
    /// The configuration key that names its file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Masters => "tls.masters_ca",
            Self::Operators => "tls.operators_ca",
        }
    }
}

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// A certificate that cannot be a trust anchor.
    #[error("a certificate of `{}` cannot be a trust anchor", .0.key())]
    Anchor(Authority, #[source] Option<rustls::Error>),
    /// The library refused the anchors.
    #[error("the certificates of `{}` cannot be used to verify clients", .0.key())]
    Builder(Authority, #[source] VerifierBuilderError),
    /// One key would vouch for masters and operators, and every master could be an admin.
    #[error(
        "`tls.masters_ca` and `tls.operators_ca` share a key; \
         masters and operators need two authorities"
    )]
    SameKey,
    /// Masters and operators would be one tree, and its branches easy to mistake for each other.
    #[error(
        "a certificate of `tls.masters_ca` was issued by an authority of `tls.operators_ca`; \
         masters need an authority of their own"
    )]
    Subordinate,
}

fn keys(
    certificates: &[CertificateDer<'_>],
    authority: Authority,
) -> Result<HashSet<Vec<u8>>, VerifierError> {
    certificates
        .iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Ok(certificate.public_key().raw.to_vec()),
            Err(_) => Err(VerifierError::Anchor(authority, None)),
        })
        .collect()
}

/// Whether the key of `issuer` signed the certificate, whatever the names in the two say.
fn is_issued_by(
    certificate: &CertificateDer<'_>,
    issuer: &CertificateDer<'_>,
) -> Result<bool, VerifierError> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| VerifierError::Anchor(Authority::Masters, None))?;
    let issuer = EndEntityCert::try_from(issuer)
        .map_err(|_| VerifierError::Anchor(Authority::Operators, None))?;
    let signed = certificate.tbs_certificate.as_ref();
    let signature = &certificate.signature_value.data;
    Ok(ALL_VERIFICATION_ALGS.iter().any(|algorithm| {
        issuer
            .verify_signature(*algorithm, signed, signature)
            .is_ok()
    }))
}

fn chain_verifier(
    certificates: &[CertificateDer<'_>],
    revocations: Revocations,
    authority: Authority,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierError> {
    let mut anchors = RootCertStore::empty();
    for certificate in certificates {
        anchors
            .add(certificate.clone().into_owned())
            .map_err(|error| VerifierError::Anchor(authority, Some(error)))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // The end of a list is not enforced: a list that nobody renews must not lock out every client,
    // and what it revokes stays revoked.
    WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider)
        .with_crls(revocations)
        .only_check_end_entity_revocation()
        .build()
        .map_err(|error| VerifierError::Builder(authority, error))
}

/// What an authority has taken back.
type Revocations = Vec<CertificateRevocationListDer<'static>>;

const NONE: &[CertificateDer<'static>] = &[];
/// A leaf, two intermediates and a root are more than any installation of ours has.
const MAX_INTERMEDIATES: usize = 2;
