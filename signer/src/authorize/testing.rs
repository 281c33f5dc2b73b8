//! A throw-away operators' CA, its admins, and masters' keys, for the tests of this crate.

use std::sync::Arc;

use minion::verify::PublicKey;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::{OperatorsCa, SignedStatement, Statement};

/// A CA whose certificates are valid from 2026 to 2027 unless said otherwise.
pub(crate) struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: PKey<Private>,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "operators");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn operators(&self) -> OperatorsCa {
        OperatorsCa::from_pem(self.pem().as_bytes()).unwrap()
    }

    pub(crate) fn admin(&self, name: &str) -> Issued {
        self.issue(&[&format!("mastersign:admin:{name}")])
    }

    pub(crate) fn issue(&self, uris: &[&str]) -> Issued {
        self.issue_with(uris, |_| ())
    }

    pub(crate) fn issue_with(
        &self,
        uris: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: PKey::private_key_from_pem(key.serialize_pem().as_bytes()).unwrap(),
        }
    }
}

impl Issued {
    pub(crate) fn sign(&self, statement: &Statement) -> SignedStatement {
        SignedStatement::sign(statement, &self.key, &self.certificate).unwrap()
    }
}

/// A master's RSA key pair.
#[derive(Debug)]
pub(crate) struct MasterKey {
    pub(crate) private: PKey<Private>,
    pub(crate) public: Arc<PublicKey>,
}

impl MasterKey {
    pub(crate) fn generate() -> Self {
        Self::with_bits(2048)
    }

    pub(crate) fn with_bits(bits: u32) -> Self {
        let rsa = Rsa::generate(bits).unwrap();
        let public = PublicKey::from_components(&rsa.n().to_vec(), &rsa.e().to_vec()).unwrap();
        Self {
            private: PKey::from_rsa(rsa).unwrap(),
            public: Arc::new(public),
        }
    }
}
