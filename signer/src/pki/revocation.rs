//! Certificates that were taken back, and the list that tells the service so (RFC 5280, section 5).

use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

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

/// The list in PEM.
pub(super) fn sign(
    issuer: &Issuer<'_, KeyPair>,
    revoked: &[Revoked],
    now: Timestamp,
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
    // Grows with each list, also if two are made in one second with different content: a list is
    // told from another by what it is signed over.
    let number = now.unix().unsigned_abs().to_be_bytes();
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
