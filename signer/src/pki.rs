//! The certificates of masters, operators and the service.
//!
//! Three authorities, because each answers another question, and whoever takes one must not get the
//! others with it:
//!
//! | authority | vouches for | is trusted by | is kept |
//! |---|---|---|---|
//! | `service` | the service's own server certificate | every client, as `ca.pem` | offline; needed when that certificate is renewed |
//! | `masters` | `mastersign:master:*` | the service | online, where masters are enrolled |
//! | `operators` | `mastersign:{admin,auditor,metrics}:*` | the service and its HSM workers | offline, for ever |
//!
//! The service's certificate could come from the masters' authority, if every client checked the
//! purpose `serverAuth`. Then one forgotten check, or the theft of the one key that has to be
//! online, would let a master pose as the service towards the operators. A third authority costs a
//! file. Each CA certificate also names the only purpose that it is for, and has `pathlen:0`, so
//! that it cannot make further authorities.
//!
//! All keys are ECDSA P-256. An identity is exactly one URI among the alternative names; the
//! subject is for human eyes, and nothing here or in the service reads it.

mod authority;
pub mod check;
mod files;
mod index;
mod profile;
mod request;
mod revocation;
mod scope;

pub use authority::{Authority, Issued};
pub use files::{Existing, make_folder, write_private, write_public};
pub use index::Entry;
pub use profile::{Host, HostError, Profile};
pub use request::Request;
pub use revocation::Revoked;
pub use scope::{Scope, UnknownScope};

use std::io;
use std::path::PathBuf;

use crate::clock::Timestamp;

/// Why a certificate was not made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A CA file that is not the authority that it should be.
    #[error("{} is not the certificate of the {scope} authority: {reason}", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Which authority was expected.
        scope: Scope,
        /// What it is instead.
        reason: &'static str,
    },
    /// The file is there already.
    #[error("{} exists; nothing was written (--force replaces it)", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key file that others can read.
    #[error(
        "{} can be read by others (mode {mode:03o}): `chmod 600` it, and think about who has read \
         it",
        .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line of the index that is none.
    #[error("line {line} of {} cannot be read", .path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate that would be valid for longer than its authority.
    #[error(
        "the {scope} authority ends at {end}, before the certificate would; ask for fewer days or \
         renew the authority"
    )]
    Outlives {
        /// The authority.
        scope: Scope,
        /// Its end.
        end: Timestamp,
    },
    /// The system gives no random numbers.
    #[error("the system's random number generator failed")]
    Random,
    /// The file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate signing request is no good.
    #[error("the certificate signing request is refused: {0}")]
    Request(&'static str),
    /// The profile belongs to another authority.
    #[error(
        "a certificate for {profile} comes from the {needed} authority, not from the {scope} \
         authority"
    )]
    Scope {
        /// Who asked.
        profile: String,
        /// The authority that was used.
        scope: Scope,
        /// The one that makes such certificates.
        needed: Scope,
    },
    /// The library could not make the certificate.
    #[error("failed to sign the certificate")]
    Sign(#[source] rcgen::Error),
    /// A date outside the years that a certificate can hold.
    #[error("the dates of the certificate lie outside the years 0 to 9999")]
    Time,
    /// A certificate that the authority never made.
    #[error("the {scope} authority has issued nothing with the serial number {what}")]
    Unknown {
        /// The authority.
        scope: Scope,
        /// The serial number.
        what: String,
    },
    /// The file cannot be written.
    #[error("failed to write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
