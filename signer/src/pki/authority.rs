//! A certificate authority: a key, a certificate, and the rules for what it signs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
    SubjectPublicKeyInfo,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use super::revocation::{self, Revoked};
use super::{Entry, Error, Existing, Profile, Request, Scope, files, index};
use crate::clock::Timestamp;

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
            format!("{} {short}", scope.common_name()),
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
    /// Fails if there is an authority already that should be kept, or if the files cannot be
    /// written.
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
    /// Fails if a file is missing, if others can read the key, or if the two are not this
    /// authority.
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
        if !certificate.is_ca() || !name.is_some_and(|name| name.starts_with(scope.common_name())) {
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

    /// Takes certificates back, for good, and writes the list that says so.
    ///
    /// # Errors
    ///
    /// Fails if one of them is not this authority's, or if a file cannot be written; then the list
    /// may not say it yet, and a repeat converges.
    pub fn revoke(&self, folder: &Path, serials: &[String], now: Timestamp) -> Result<(), Error> {
        let issued = Self::list(folder)?;
        for serial in serials {
            if !issued.iter().any(|entry| entry.serial == *serial) {
                return Err(Error::Unknown {
                    scope: self.scope,
                    what: serial.clone(),
                });
            }
        }
        let path = folder.join(REVOKED);
        let known = revocation::read(&path)?;
        for serial in serials {
            if known.iter().all(|revoked| revoked.serial != *serial) {
                let revoked = Revoked {
                    serial: serial.clone(),
                    time: now,
                };
                revocation::append(&path, &revoked)?;
            }
        }
        self.write_revocations(folder, now)
    }

    /// Writes the list of what was taken back, with `now` as its time.
    ///
    /// # Errors
    ///
    /// Fails if the files cannot be read or written.
    pub fn write_revocations(&self, folder: &Path, now: Timestamp) -> Result<(), Error> {
        let revoked = revocation::read(&folder.join(REVOKED))?;
        let path = folder.join(REVOCATIONS);
        let text = revocation::sign(&self.issuer, &revoked, now, revocation::number(&path))?;
        files::write_public(&path, &text, Existing::Replace)
    }

    /// What it has taken back, in order.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn revoked(folder: &Path) -> Result<Vec<Revoked>, Error> {
        revocation::read(&folder.join(REVOKED))
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
    /// Fails if the profile belongs to another authority, if the certificate would outlive this
    /// one, or if the index cannot be written.
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

/// Sixteen random bytes; rcgen's own choice repeats when a certificate is made again for the same
/// key.
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
/// The list that is handed out.
const REVOCATIONS: &str = "ca.crl";
const REVOKED: &str = "revoked.jsonl";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pki::check::Report;

    const DAY: Duration = Duration::from_secs(86_400);
    const DECADE: Duration = Duration::from_secs(3_650 * 86_400);

    fn now() -> Timestamp {
        "2026-11-22T02:25:06Z".parse().unwrap()
    }

    fn authority(scope: Scope) -> Authority {
        Authority::create(scope, DECADE, now()).unwrap()
    }

    fn client(uri: &str) -> Profile {
        Profile::Client(uri.parse().unwrap())
    }

    fn server() -> Profile {
        Profile::Server(vec!["localhost".parse().unwrap(), "::1".parse().unwrap()])
    }

    fn problems(issued: &Issued, authority: &Authority) -> Vec<String> {
        let mut report = Report::of_pem(
            issued.certificate_pem.as_bytes(),
            Some(authority.certificate_pem().as_bytes()),
            now(),
        );
        report.check_key(issued.certificate_pem.as_bytes(), issued.key_pem.as_bytes());
        report.problems
    }

    #[test]
    fn what_each_authority_issues_passes_the_service_s_own_check() {
        for profile in [
            client("mastersign:master:m-1"),
            client("mastersign:admin:alice"),
            client("mastersign:auditor:bob"),
            client("mastersign:metrics:prometheus"),
            server(),
        ] {
            let authority = authority(profile.scope());
            let issued = authority.issue(&profile, DAY, now()).unwrap();
            assert_eq!(problems(&issued, &authority), [""; 0], "{profile}");
        }
    }

    #[test]
    fn another_authority_of_the_same_scope_does_not_vouch() {
        let (ours, other) = (authority(Scope::Masters), authority(Scope::Masters));
        let issued = ours
            .issue(&client("mastersign:master:m-1"), DAY, now())
            .unwrap();
        assert_eq!(problems(&issued, &other).len(), 1);
    }

    #[test]
    fn an_authority_issues_nothing_outside_its_scope() {
        for scope in Scope::ALL {
            let authority = authority(scope);
            for profile in [
                client("mastersign:master:m-1"),
                client("mastersign:admin:alice"),
                server(),
            ] {
                let issued = authority.issue(&profile, DAY, now());
                assert_eq!(
                    issued.is_ok(),
                    profile.scope() == scope,
                    "{scope} {profile}"
                );
            }
        }
    }

    #[test]
    fn a_certificate_never_outlives_its_authority() {
        let authority = Authority::create(Scope::Masters, DAY, now()).unwrap();
        let profile = client("mastersign:master:m-1");
        authority.issue(&profile, DAY, now()).unwrap();
        assert!(matches!(
            authority.issue(&profile, DAY + Duration::from_secs(1), now()),
            Err(Error::Outlives { .. })
        ));
    }

    #[test]
    fn dates_are_set_and_begin_five_minutes_back() {
        let authority = authority(Scope::Masters);
        let issued = authority
            .issue(&client("mastersign:master:m-1"), DAY, now())
            .unwrap();
        let report = Report::of_pem(issued.certificate_pem.as_bytes(), None, now());
        let certificate = &report.certificates[0];
        assert_eq!(certificate.not_before.to_string(), "2026-11-22T02:20:06Z");
        assert_eq!(certificate.not_after.to_string(), "2026-11-23T02:25:06Z");
        assert_eq!(certificate.serial, issued.entry.serial);
        assert_eq!(certificate.spki_sha256, issued.entry.spki_sha256);
    }

    #[test]
    fn an_authority_comes_back_from_its_folder_and_lists_what_it_made() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("masters");
        let mut made = authority(Scope::Masters);
        made.save(&folder, Existing::Keep).unwrap();
        let loaded = Authority::load(Scope::Masters, &folder).unwrap();
        let issued = loaded
            .issue(&client("mastersign:master:m-1"), DAY, now())
            .unwrap();
        assert_eq!(problems(&issued, &made), [""; 0]);
        assert_eq!(Authority::list(&folder).unwrap(), [issued.entry]);

        assert!(matches!(
            authority(Scope::Masters).save(&folder, Existing::Keep),
            Err(Error::Exists { .. })
        ));
        assert!(Authority::load(Scope::Masters, &folder).is_ok());
    }

    #[test]
    fn a_folder_with_another_authority_or_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        authority(Scope::Masters)
            .save(&one, Existing::Keep)
            .unwrap();
        authority(Scope::Masters)
            .save(&two, Existing::Keep)
            .unwrap();
        let refused = |scope| matches!(Authority::load(scope, &one), Err(Error::Authority { .. }));
        assert!(refused(Scope::Operators));
        assert!(!refused(Scope::Masters));
        fs::copy(two.join(KEY), one.join(KEY)).unwrap();
        assert!(refused(Scope::Masters));
    }

    #[test]
    fn no_debug_shows_a_private_key() {
        let authority = authority(Scope::Masters);
        let issued = authority
            .issue(&client("mastersign:master:m-1"), DAY, now())
            .unwrap();
        let shown = format!("{authority:?} {issued:?}");
        assert!(
            !shown.contains("PRIVATE") && !shown.contains("key_pem"),
            "{shown}"
        );
    }
}
