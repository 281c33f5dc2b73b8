//! What a certificate says, and what is wrong with it.
//!
//! TLS libraries answer "bad certificate" to a dozen different mistakes. This reads the same bytes
//! as the service and its clients do and names the mistake, with the thing to do about it.

mod chain;
pub mod handshake;

use std::net::IpAddr;

use openssl::pkey::PKey;
use openssl::x509::X509;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authorize::{Identity, OperatorRole};
use crate::clock::Timestamp;

/// What was found in one or more certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The certificates in the order of the file or of the handshake.
    pub certificates: Vec<Certificate>,
    /// What keeps them from being used.
    pub problems: Vec<String>,
    /// What will keep them from being used, or looks wrong.
    pub warnings: Vec<String>,
}

/// What one certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The subject, for human eyes only.
    pub subject: String,
    /// The subject of who signed it.
    pub issuer: String,
    /// The serial number in lower-case hex.
    pub serial: String,
    /// Whether it may sign certificates.
    pub is_authority: bool,
    /// The `mastersign:` identity, if it has exactly one.
    pub identity: Option<String>,
    /// All alternative names.
    pub names: Vec<String>,
    /// The purposes: `clientAuth`, `serverAuth` and others by their numbers.
    pub purposes: Vec<String>,
    /// The kind of key.
    pub key: String,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 over the certificate.
    pub sha256: String,
    /// SHA-256 over the `SubjectPublicKeyInfo`.
    pub spki_sha256: String,
}

impl Report {
    /// Reads the certificates of a PEM file, leaf first, and checks them against `authorities` if
    /// those are given.
    #[must_use]
    pub fn of_pem(pem: &[u8], authorities: Option<&[u8]>, now: Timestamp) -> Self {
        let mut report = Self::default();
        if holds_private_key(pem) {
            report.problem(
                "the file holds a private key: it belongs into a file of its own, mode 600",
            );
        }
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                report.problem("the file holds no certificate (-----BEGIN CERTIFICATE-----)");
            }
            Ok(certificates) => report.inspect(&certificates, authorities, now),
            Err(_) => report.problem("the PEM text is damaged"),
        }
        report
    }

    /// Whether the certificates can be used.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds a problem if the private key does not belong to the first certificate of the file.
    pub fn check_key(&mut self, certificate_pem: &[u8], key_pem: &[u8]) {
        // Without a callback OpenSSL would ask whoever sits at the terminal for a pass phrase.
        let Ok(key) = PKey::private_key_from_pem_callback(key_pem, |_| Ok(0)) else {
            self.problem("the key file holds no unencrypted private key");
            return;
        };
        let public =
            X509::from_pem(certificate_pem).and_then(|certificate| certificate.public_key());
        if !public.is_ok_and(|public| public.public_eq(&key)) {
            self.problem("the key file belongs to another certificate");
        }
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    fn inspect(
        &mut self,
        chain: &[CertificateDer<'_>],
        authorities: Option<&[u8]>,
        now: Timestamp,
    ) {
        for der in chain {
            match Certificate::read(der) {
                Some(certificate) => self.certificates.push(certificate),
                None => self.problem("one of the certificates is damaged"),
            }
        }
        for certificate in self.certificates.clone() {
            self.check_dates(&certificate, now);
        }
        let Some(leaf) = self.certificates.first().cloned() else {
            return;
        };
        if leaf.is_authority {
            if let Some(pem) = authorities
                && let Err(reason) = chain::verify_authorities(chain, pem, now)
            {
                self.problem(reason);
            }
            return;
        }
        self.check_purpose(&leaf);
        match authorities {
            Some(pem) => {
                if let Err(reason) = chain::verify(chain, pem, &leaf.purposes, now) {
                    self.problem(reason);
                }
            }
            None => self.warning("nobody's word was checked: name the authority with --ca"),
        }
    }

    fn check_dates(&mut self, certificate: &Certificate, now: Timestamp) {
        let Certificate {
            subject,
            not_before,
            not_after,
            ..
        } = certificate;
        let left = not_after.unix().saturating_sub(now.unix());
        let whole = not_after.unix().saturating_sub(not_before.unix());
        if now < *not_before {
            self.problem(format!(
                "{subject}: not valid before {not_before}, and this machine's clock says {now}"
            ));
        } else if left < 0 {
            self.problem(format!("{subject}: ended at {not_after}"));
        } else if left < whole / 3 && left < WARN_BEFORE {
            self.warning(format!("{subject}: ends at {not_after}; issue a new one"));
        }
    }

    fn check_purpose(&mut self, leaf: &Certificate) {
        let has = |purpose| leaf.purposes.iter().any(|known| known == purpose);
        let (client, server) = (has("clientAuth"), has("serverAuth"));
        let hosts = leaf.names.iter().any(|name| !name.starts_with("URI:"));
        match (client, server) {
            (true, true) => self.warning(
                "it is for clients and servers alike; a certificate of ours has one purpose",
            ),
            (false, false) => self.problem(
                "it is neither for clients (clientAuth) nor for servers (serverAuth), so nobody \
                 accepts it",
            ),
            (true, false) | (false, true) => {}
        }
        if client && !server {
            self.check_identity(leaf);
        }
        if server && !hosts {
            self.problem(
                "it names no host, so no client accepts it; the common name is never read",
            );
        }
    }

    fn check_identity(&mut self, leaf: &Certificate) {
        let uris = leaf
            .names
            .iter()
            .filter(|name| name.starts_with("URI:"))
            .count();
        match (&leaf.identity, uris) {
            (Some(uri), 1) => {
                let admin = matches!(
                    uri.parse(),
                    Ok(Identity::Operator {
                        role: OperatorRole::Admin,
                        ..
                    })
                );
                if admin && leaf.key != P256 {
                    self.problem(
                        "an admin signs decisions with this key, and they must be ECDSA P-256",
                    );
                }
            }
            (None, 0) => self.problem(
                "it has no URI among its alternative names, so it names nobody; the common name is \
                 never read",
            ),
            (None, 1) => self.problem(
                "its URI is no identity: mastersign:master:<id> or \
                 mastersign:{admin,auditor,metrics}:<name>",
            ),
            (Some(_) | None, _) => self.problem(
                "it has more than one URI among its alternative names, so it does not say who its \
                 holder is",
            ),
        }
    }
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let names: Vec<String> = certificate
            .subject_alternative_name()
            .ok()?
            .iter()
            .flat_map(|names| &names.value.general_names)
            .map(name)
            .collect();
        let mut uris = names.iter().filter_map(|name| name.strip_prefix("URI:"));
        let identity = match (uris.next(), uris.next()) {
            (Some(uri), None) if uri.parse::<Identity>().is_ok() => Some(uri.to_owned()),
            _ => None,
        };
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_unix(time.timestamp()).ok();
        let spki = certificate.public_key().raw;
        Some(Self {
            subject: printable(&certificate.subject().to_string()),
            issuer: printable(&certificate.issuer().to_string()),
            serial: hex::encode(certificate.raw_serial()),
            is_authority: certificate.is_ca(),
            identity,
            purposes: purposes(&certificate),
            key: key(spki),
            not_before: time(certificate.validity().not_before)?,
            not_after: time(certificate.validity().not_after)?,
            sha256: hex::encode(Sha256::digest(der)),
            spki_sha256: hex::encode(Sha256::digest(spki)),
            names,
        })
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("DNS:{}", printable(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).map_or_else(
                |_| "IP:malformed".to_owned(),
                |address| format!("IP:{address}"),
            )
        }
        GeneralName::URI(uri) => format!("URI:{}", printable(uri)),
        other => printable(&other.to_string()),
    }
}

fn purposes(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return Vec::new();
    };
    let usage = usage.value;
    [
        (usage.any, "any"),
        (usage.client_auth, "clientAuth"),
        (usage.server_auth, "serverAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .map(|(_, name)| name.to_owned())
    .chain(usage.other.iter().map(ToString::to_string))
    .collect()
}

fn key(spki: &[u8]) -> String {
    let Ok(key) = PKey::public_key_from_der(spki) else {
        return "unknown".to_owned();
    };
    let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
    match curve {
        Some(openssl::nid::Nid::X9_62_PRIME256V1) => P256.to_owned(),
        Some(curve) => format!("ECDSA {}", curve.short_name().unwrap_or("unknown curve")),
        None if key.rsa().is_ok() => format!("RSA {}", key.bits()),
        None => "unknown".to_owned(),
    }
}

/// Whether a block of the text calls itself a private key: also one that is encrypted or damaged is
/// in the wrong place.
fn holds_private_key(pem: &[u8]) -> bool {
    let label = b"PRIVATE KEY-----";
    pem.windows(label.len()).any(|window| window == label)
}

/// Foreign text, without what could drive a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

const P256: &str = "ECDSA P-256";
/// Thirty days, in seconds.
const WARN_BEFORE: i64 = 2_592_000;

#[cfg(test)]
mod tests;
