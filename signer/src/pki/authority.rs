//! A certificate authority: a key, a certificate, and the rules for what it signs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use super::{Entry, Error, Existing, Profile, Request, files, index};
use crate::clock::Timestamp;

/// What an authority vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Salt masters.
    Masters,
    /// People and their tools.
    Operators,
    /// The signing service.
    Service,
}

impl Scope {
    /// All, in alphabetical order.
    pub const ALL: [Self; 3] = [Self::Masters, Self::Operators, Self::Service];

    /// The word, which is also the name of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Operators => "operators",
            Self::Service => "service",
        }
    }

    const fn usage(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Masters | Self::Operators => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Service => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or(UnknownScope)
    }
}

/// A word that names no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorities are masters, operators and service")]
pub struct UnknownScope;

/// A certificate authority with its private key.
pub struct Authority {
    scope: Scope,
    certificate_pem: String,
    not_after: Timestamp,
    issuer: Issuer<'static, KeyPair>,
    /// Where its index is; none while it exists in memory only.
    folder: Option<PathBuf>,
}

impl Authority {
    /// Makes a new authority in memory.
    ///
    /// # Errors
    ///
    /// Fails if the system has no randomness, or if `validity` ends after the year 9999.
    pub fn create(scope: Scope, validity: Duration, now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Sign)?;
        let mut params = CertificateParams::default();
        let (_, not_after) = set_dates(&mut params, validity, now)?;
        let serial = set_serial(&mut params)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![scope.usage()];
        // Part of the name, so that two installations' authorities are not taken for each other.
        let short = serial.get(..8).unwrap_or_default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "Mastersign");
        subject.push(
            DnType::CommonName,
            format!("{} {short}", common_name(scope)),
        );
        params.distinguished_name = subject;
        let certificate = params.self_signed(&key).map_err(Error::Sign)?;
        Ok(Self {
            scope,
            certificate_pem: certificate.pem(),
            not_after,
            issuer: Issuer::new(params, key),
            folder: None,
        })
    }

    /// Writes `ca.key` and `ca.pem` into `folder`, and keeps the index there from then on.
    ///
    /// # Errors
    ///
    /// Fails if there is an authority already that should be kept, or if the files cannot be written.
    pub fn save(&mut self, folder: &Path, existing: Existing) -> Result<(), Error> {
        files::make_folder(folder)?;
        let key = Zeroizing::new(self.issuer.key().serialize_pem());
        files::write_private(&folder.join(KEY), &key, existing)?;
        files::write_public(&folder.join(CERTIFICATE), &self.certificate_pem, existing)?;
        self.folder = Some(folder.to_owned());
        Ok(())
    }

    /// Reads `ca.key` and `ca.pem` from `folder`.
    ///
    /// # Errors
    ///
    /// Fails if a file is missing, if others can read the key, or if the two are not this authority.
    pub fn load(scope: Scope, folder: &Path) -> Result<Self, Error> {
        let path = folder.join(CERTIFICATE);
        let certificate_pem = files::read_public(&path)?;
        let refused = |reason| Error::Authority {
            path: path.clone(),
            scope,
            reason,
        };
        let (_, pem) =
            parse_x509_pem(certificate_pem.as_bytes()).map_err(|_| refused("it is no PEM file"))?;
        let certificate = pem
            .parse_x509()
            .map_err(|_| refused("it is no certificate"))?;
        let subject = certificate.subject();
        let name = subject
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok());
        if !certificate.is_ca() || !name.is_some_and(|name| name.starts_with(common_name(scope))) {
            return Err(refused("it belongs to something else"));
        }
        let key = Zeroizing::new(files::read_private(&folder.join(KEY))?);
        let key = KeyPair::from_pem(&key).map_err(|_| refused("its key file holds no key"))?;
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(refused("its key file holds another key"));
        }
        let not_after = Timestamp::from_unix(certificate.validity().not_after.timestamp())
            .map_err(|_| Error::Time)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key).map_err(Error::Sign)?;
        Ok(Self {
            scope,
            not_after,
            issuer,
            folder: Some(folder.to_owned()),
            certificate_pem,
        })
    }

    /// What it has made, in order, as far as it was made in this folder.
    ///
    /// # Errors
    ///
    /// Fails if the index cannot be read.
    pub fn list(folder: &Path) -> Result<Vec<Entry>, Error> {
        index::read(&folder.join(INDEX))
    }

    /// What it vouches for.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Its certificate, which those who trust it need.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// When its certificate ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    ///
    /// Fails if the profile belongs to another authority, if the certificate would outlive this one, or if the index
    /// cannot be written.
    pub fn issue(
        &self,
        profile: &Profile,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Sign)?;
        let spki = key.subject_public_key_info();
        let (certificate, entry) = self.sign(profile, &key, &spki, validity, now)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            entry,
        })
    }

    /// Makes a certificate for the key in a request; the private key stays where it is.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue).
    pub fn certify(
        &self,
        profile: &Profile,
        request: &Request,
        validity: Duration,
        now: Timestamp,
    ) -> Result<(String, Entry), Error> {
        let key = SubjectPublicKeyInfo::from_der(&request.spki).map_err(Error::Sign)?;
        let (certificate, entry) = self.sign(profile, &key, &request.spki, validity, now)?;
        Ok((certificate.pem(), entry))
    }

    fn sign(
        &self,
        profile: &Profile,
        key: &impl PublicKeyData,
        spki: &[u8],
        validity: Duration,
        now: Timestamp,
    ) -> Result<(Certificate, Entry), Error> {
        if profile.scope() != self.scope {
            return Err(Error::Scope {
                profile: profile.to_string(),
                scope: self.scope,
                needed: profile.scope(),
            });
        }
        let mut params = profile.params().map_err(Error::Sign)?;
        let (not_before, not_after) = set_dates(&mut params, validity, now)?;
        if not_after > self.not_after {
            return Err(Error::Outlives {
                scope: self.scope,
                end: self.not_after,
            });
        }
        let entry = Entry {
            serial: set_serial(&mut params)?,
            identity: profile.to_string(),
            spki_sha256: hex::encode(Sha256::digest(spki)),
            not_before,
            not_after,
        };
        let certificate = params.signed_by(key, &self.issuer).map_err(Error::Sign)?;
        if let Some(folder) = &self.folder {
            index::append(&folder.join(INDEX), &entry)?;
        }
        Ok((certificate, entry))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("scope", &self.scope)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A new certificate and its private key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The private key as PKCS#8 in PEM.
    pub key_pem: Zeroizing<String>,
    /// What the index says about it.
    pub entry: Entry,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

const fn common_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Masters => "Mastersign masters CA",
        Scope::Operators => "Mastersign operators CA",
        Scope::Service => "Mastersign service CA",
    }
}

/// Sets both dates; the first lies a little back, for machines whose clocks are.
fn set_dates(
    params: &mut CertificateParams,
    validity: Duration,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Error> {
    let validity = i64::try_from(validity.as_secs()).map_err(|_| Error::Time)?;
    let date = |seconds: Option<i64>| {
        let seconds = seconds.ok_or(Error::Time)?;
        let timestamp = Timestamp::from_unix(seconds).map_err(|_| Error::Time)?;
        let date = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::Time)?;
        Ok::<_, Error>((timestamp, date))
    };
    let (from, not_before) = date(now.unix().checked_sub(BACKDATED))?;
    let (to, not_after) = date(now.unix().checked_add(validity))?;
    params.not_before = not_before;
    params.not_after = not_after;
    Ok((from, to))
}

/// Sixteen random bytes; rcgen's own choice repeats when a certificate is made again for the same key.
fn set_serial(params: &mut CertificateParams) -> Result<String, Error> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Error::Random)?;
    // Positive and of one length, as DER sees it.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(hex::encode(serial))
}

const BACKDATED: i64 = 300;
const CERTIFICATE: &str = "ca.pem";
const INDEX: &str = "index.jsonl";
const KEY: &str = "ca.key";
