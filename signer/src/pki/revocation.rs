//! Certificates that were taken back, and the list that tells the service so (RFC 5280, section 5).

use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Error, index};
use crate::clock::Timestamp;

/// A certificate that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number in lower-case hex.
    pub serial: String,
    /// Since when.
    pub time: Timestamp,
}

pub(super) fn append(path: &Path, revoked: &Revoked) -> Result<(), Error> {
    index::append(path, revoked)
}

pub(super) fn read(path: &Path) -> Result<Vec<Revoked>, Error> {
    index::read(path)
}

/// The number of the list that is there. What is missing or no list has none, and is replaced.
pub(super) fn number(path: &Path) -> Option<u64> {
    let text = std::fs::read(path).ok()?;
    let (_, pem) = parse_x509_pem(&text).ok()?;
    let (_, list) = CertificateRevocationList::from_der(&pem.contents).ok()?;
    list.crl_number()?.try_into().ok()
}

/// The list in PEM, with a number that is higher than that of the one before.
pub(super) fn sign(
    issuer: &Issuer<'_, KeyPair>,
    revoked: &[Revoked],
    now: Timestamp,
    before: Option<u64>,
) -> Result<String, Error> {
    let date = |seconds: Option<i64>| {
        let seconds = seconds.ok_or(Error::Time)?;
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::Time)
    };
    let revoked_certs = revoked
        .iter()
        .map(|revoked| {
            let serial = hex::decode(&revoked.serial).map_err(|_| Error::Time)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: date(Some(revoked.time.unix()))?,
                reason_code: None,
                invalidity_date: None,
            })
        })
        .collect::<Result<_, Error>>()?;
    // RFC 5280, section 5.2.3: it grows with each list, also if two are made in one second, or the
    // clock went back. The time is a number that is higher than a lost list's.
    let next = before.map_or(0, |before| before.saturating_add(1));
    let number = now.unix().unsigned_abs().max(next).to_be_bytes();
    let list = CertificateRevocationListParams {
        this_update: date(now.unix().checked_sub(BACKDATED))?,
        next_update: date(now.unix().checked_add(VALID))?,
        crl_number: SerialNumber::from_slice(&number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(issuer).map_err(Error::Sign)?;
    list.pem().map_err(Error::Sign)
}

/// For machines whose clocks are a little behind.
const BACKDATED: i64 = 300;
/// The service does not let a list end; other programs may, and a year is what a certificate has.
const VALID: i64 = 365 * 86_400;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki::{Authority, Existing, Scope};

    #[test]
    fn the_number_grows_with_each_list_also_within_a_second_and_when_the_clock_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("masters");
        let now: Timestamp = "2026-11-22T02:25:06Z".parse().unwrap();
        let year = Duration::from_secs(365 * 86_400);
        let mut authority = Authority::create(Scope::Masters, year, now).unwrap();
        authority.save(&folder, Existing::Keep).unwrap();
        let path = folder.join("ca.crl");
        assert_eq!(number(&path), None);
        let at = |seconds: i64| Timestamp::from_unix(now.unix() + seconds).unwrap();
        let first = now.unix().unsigned_abs();
        for (time, expected) in [
            (at(0), first),
            (at(0), first + 1),
            (at(0), first + 2),
            (at(-60), first + 3),
            (at(60), first + 60),
        ] {
            authority.write_revocations(&folder, time).unwrap();
            assert_eq!(number(&path), Some(expected));
        }
        // What is no list is in nobody's way.
        std::fs::write(&path, "damaged").unwrap();
        authority.write_revocations(&folder, at(61)).unwrap();
        assert_eq!(number(&path), Some(first + 61));
    }
}
