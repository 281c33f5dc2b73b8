//! Certificates and keys on disk.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::anchor::{self, AnchorError};

/// All certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    certificates_in(path, &read(path, |_| Ok(()))?)
}

/// The same of a file that says whom to believe.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    certificates_in(path, &anchor::read(path)?)
}

fn certificates_in(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| PemError::NoCertificate(path.to_owned()))?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// All revocation lists of a file, at least one.
pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let text = anchor::read(path)?;
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| PemError::NoRevocations(path.to_owned()))?;
    if lists.is_empty() {
        return Err(PemError::NoRevocations(path.to_owned()));
    }
    Ok(lists)
}

/// The private key of a file that only its owner can read.
///
/// Root may let a group read it: so do systemd's credentials, and so does `root:mastersign` with
/// mode 0640.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = read(path, |metadata| {
        let allowed = if metadata.uid() == 0 { 0o740 } else { 0o700 };
        match metadata.mode() & 0o777 {
            mode if mode & !allowed == 0 => Ok(()),
            mode => Err(PemError::Exposed {
                path: path.to_owned(),
                mode,
            }),
        }
    })?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| PemError::NoKey(path.to_owned()))
}

fn read(
    path: &Path,
    check: impl FnOnce(&Metadata) -> Result<(), PemError>,
) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let failed = |source| PemError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    check(&file.metadata().map_err(failed)?)?;
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.take(MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Why a file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// A file that says whom to believe, and that somebody else may have written.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A private key that others can read.
    #[error(
        "{} holds a private key and may be read by others (mode {mode:04o}); \
         run `chmod 600` on it",
        .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file without a certificate.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A file without a revocation list.
    #[error(
        "{} holds no certificate revocation list in PEM; `mastersign pki crl` makes one",
        .0.display()
    )]
    NoRevocations(PathBuf),
    /// A file without a private key.
    #[error("{} holds no private key in PEM form; an encrypted one cannot be used", .0.display())]
    NoKey(PathBuf),
    /// A file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// More certificates than any chain has; a device file that is named by mistake is longer.
const MAX_BYTES: u64 = 1 << 20;
