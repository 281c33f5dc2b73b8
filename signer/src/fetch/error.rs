//! Why nothing was fetched.

use std::path::PathBuf;

use minion::verify::{KeyError, KeyHash};

use super::directory::DirectoryError;
use super::keys::KeysError;
use super::privilege::PrivilegeError;
use super::salt_config::SaltConfigError;
use crate::authorize::Identity;
use crate::client::{self, CredentialsError};

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service could not be asked, or said no.
    #[error("failed to get a signature from the service")]
    Client(#[source] client::Error),
    /// The client certificate or key cannot be used.
    #[error("failed to read this master's client certificate")]
    Credentials(#[source] CredentialsError),
    /// The file cannot be read or written.
    #[error("failed to put the signature in its place")]
    Directory(#[source] DirectoryError),
    /// The master's own keys cannot be used.
    #[error("failed to use this master's keys")]
    Keys(#[source] KeysError),
    /// The certificate is an operator's.
    #[error(
        "the client certificate is {0}, and only a master can fetch; issue one with `mastersign \
         pki issue master ID`"
    )]
    NotAMaster(Identity),
    /// The service signs with another key than the pinned one.
    #[error(
        "the service does not have the pinned signing key {pinned}; it has {theirs}. If the \
         signing key was changed, have the new master_sign.pub confirmed by an operator before it \
         is pinned here"
    )]
    OtherSigningKey {
        /// The pinned key.
        pinned: KeyHash,
        /// What the service names.
        theirs: String,
    },
    /// The pinned key is no key.
    #[error("{} is not the public half of a signing key", path.display())]
    Pinned {
        /// The file.
        path: PathBuf,
        /// What it is.
        #[source]
        source: KeyError,
    },
    /// The directory could not be entered.
    #[error("failed to become the owner of pki_dir")]
    Privilege(#[source] PrivilegeError),
    /// The proof could not be made.
    #[error("failed to sign the proof of possession with the master's private key")]
    Proof(#[source] openssl::error::ErrorStack),
    /// The pinned key cannot be read.
    #[error("failed to read the pinned signing key {}", path.display())]
    ReadPinned {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No runtime could be made.
    #[error("failed to start the network client")]
    Runtime(#[source] std::io::Error),
    /// Salt's configuration does not say what is needed.
    #[error("failed to learn from Salt's configuration where the signature belongs")]
    SaltConfig(#[source] SaltConfigError),
}

impl Error {
    /// Whether somebody may be deceiving this master: the exit code is then that of a failed
    /// verification.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self, Self::OtherSigningKey { .. })
    }
}
