//! Authorities and certificates for tests, made on the spot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::config;

/// An authority with its own key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::make(name, BasicConstraints::Constrained(0), None)
    }

    /// One that may have others under it.
    pub(crate) fn root(name: &str) -> Self {
        Self::make(name, BasicConstraints::Unconstrained, None)
    }

    /// One under this one.
    pub(crate) fn subordinate(&self, name: &str) -> Self {
        Self::make(name, BasicConstraints::Constrained(0), Some(self))
    }

    fn make(name: &str, constraints: BasicConstraints, parent: Option<&Self>) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(constraints);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = match parent {
            Some(parent) => params.signed_by(&key, &parent.issuer),
            None => params.self_signed(&key),
        }
        .unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, leaf: &Leaf<'_>) -> Pair {
        let mut params = CertificateParams::default();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![leaf.usage.clone()];
        params.subject_alt_names = leaf
            .uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        if leaf.usage == ExtendedKeyUsagePurpose::ServerAuth {
            params
                .subject_alt_names
                .push(SanType::DnsName("localhost".try_into().unwrap()));
        }
        let now = OffsetDateTime::now_utc();
        params.not_before = now.saturating_sub(Duration::days(2));
        params.not_after = now.saturating_add(leaf.ends_in);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key: key.serialize_der(),
            key_pem: key.serialize_pem(),
            others: Vec::new(),
        }
    }

    /// The list that says these certificates count no more.
    pub(crate) fn revoke(&self, pairs: &[&Pair]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = pairs.iter().map(|pair| {
            let (_, certificate) = X509Certificate::from_der(&pair.der).unwrap();
            RevokedCertParams {
                serial_number: SerialNumber::from_slice(certificate.raw_serial()),
                revocation_time: now,
                reason_code: None,
                invalidity_date: None,
            }
        });
        let list = CertificateRevocationListParams {
            this_update: now.saturating_sub(Duration::minutes(5)),
            next_update: now.saturating_add(Duration::days(1)),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub(crate) fn client(&self, uri: &str) -> Pair {
        self.issue(&Leaf::client(&[uri]))
    }
}

/// What stands in a certificate.
pub(crate) struct Leaf<'a> {
    pub(crate) uris: &'a [&'a str],
    pub(crate) usage: ExtendedKeyUsagePurpose,
    pub(crate) ends_in: Duration,
}

impl<'a> Leaf<'a> {
    pub(crate) const fn client(uris: &'a [&'a str]) -> Self {
        Self {
            uris,
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ends_in: Duration::days(1),
        }
    }

    pub(crate) const fn server() -> Self {
        Self {
            uris: &[],
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            ends_in: Duration::days(1),
        }
    }
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: Vec<u8>,
    pub(crate) key_pem: String,
    /// What is shown after the certificate.
    pub(crate) others: Vec<CertificateDer<'static>>,
}

/// Two authorities, and a service's files.
pub(crate) struct Setting {
    pub(crate) masters: Authority,
    pub(crate) operators: Authority,
    pub(crate) directory: TempDir,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::around(Authority::new("masters"), Authority::new("operators"))
    }

    pub(crate) fn around(masters: Authority, operators: Authority) -> Self {
        let setting = Self {
            masters,
            operators,
            directory: tempfile::tempdir().unwrap(),
        };
        let server = setting.operators.issue(&Leaf::server());
        setting.write("server.pem", &server.pem);
        setting.write("server.key", &server.key_pem);
        setting.write("masters.pem", &setting.masters.pem);
        setting.write("operators.pem", &setting.operators.pem);
        setting
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn files(&self) -> config::Tls {
        config::Tls {
            certificate: self.path().join("server.pem"),
            key: self.path().join("server.key"),
            masters_ca: self.path().join("masters.pem"),
            operators_ca: self.path().join("operators.pem"),
            masters_crl: None,
            operators_crl: None,
        }
    }

    /// A client of this service that shows the given certificate, or none.
    pub(crate) fn client(&self, pair: Option<&Pair>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.operators.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match pair {
            Some(pair) => builder
                .with_client_auth_cert(
                    [vec![pair.der.clone()], pair.others.clone()].concat(),
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.key.clone())),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        })
    }
}
