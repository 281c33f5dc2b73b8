//! The door for root on this machine: unlocking an HSM, and lifting a latch while the service runs.
//!
//! A PIN must not travel over the network, and an operator who stands at the machine needs no
//! certificate: who may come in is decided by the kernel's word on who is at the other end of a
//! Unix socket. It is `control.sock` in the state directory, which only root and the service's own
//! user can enter, and each connection is asked once more. The service's user is let in because it
//! has the latch and the PINs already; nobody gains anything by becoming it to come here.

mod frame;
mod server;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::hsm::{HsmStatus, State};

pub use frame::Malformed;
pub use server::{Door, Parts};

/// What root asks.
#[derive(Debug)]
pub enum Request {
    /// Let refused PINs be presented again.
    Unlatch {
        /// Only those of the token with this serial number.
        serial: Option<String>,
    },
    /// Log in with this PIN.
    Unlock {
        /// The HSM's name in the configuration; may be left out if there is one only.
        hsm: Option<String>,
        /// The PIN.
        pin: SecretString,
        /// Even if the token says that a wrong PIN was presented lately.
        force: bool,
    },
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing was done.
    Refused {
        /// Why not.
        why: String,
    },
    /// Latches were lifted.
    Unlatched {
        /// How many PINs may be presented again.
        latches_lifted: usize,
        /// How many logins of unknown outcome are forgotten.
        logins_forgotten: usize,
    },
    /// The PIN was taken; whether the HSM signs is what the state says.
    Unlocked {
        /// The HSM's name.
        hsm: String,
        /// What became of it.
        state: State,
        /// Why, for a person.
        detail: String,
    },
}

impl From<HsmStatus> for Answer {
    fn from(status: HsmStatus) -> Self {
        Self::Unlocked {
            hsm: status.name,
            state: status.state,
            detail: status.detail,
        }
    }
}

/// Asks the service whose state is in this directory; `None` if none runs.
///
/// # Errors
///
/// Fails if it may not be asked, if somebody else answers in its place, or if it does not answer.
pub fn ask(state_dir: &Path, request: &Request) -> Result<Option<Answer>, ControlError> {
    let failed = |source| ControlError::Socket {
        path: state_dir.join(SOCKET),
        source,
    };
    let directory = match File::open(state_dir) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut stream = match UnixStream::connect(through(&directory)) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    // A PIN is about to be sent: the one who listens must be the one whose directory it is.
    let owner = directory.metadata().map_err(failed)?.uid();
    let peer = getsockopt(&stream, PeerCredentials).map_err(|errno| failed(errno.into()))?;
    if peer.uid() != 0 && peer.uid() != owner {
        return Err(ControlError::Stranger { user: peer.uid() });
    }
    stream
        .set_read_timeout(Some(LONGEST_ANSWER))
        .map_err(failed)?;
    stream.write_all(&request.to_bytes()?).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .map_err(failed)?;
    serde_json::from_slice(&answer)
        .map(Some)
        .map_err(|source| failed(source.into()))
}

/// Why the service was not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The door of another process is open.
    #[error("another process serves this state directory: {} answers", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// A field is too long.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The socket could not be used.
    #[error("failed to talk to the service through {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither root nor the owner of the directory listens.
    #[error(
        "user {user} listens in the place of the service, who is neither root nor the owner of the \
         state directory; nothing was sent"
    )]
    Stranger {
        /// The user id.
        user: u32,
    },
}

/// The socket's path through the open directory: a path of any length fits into its address.
fn through(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(SOCKET)
}

const SOCKET: &str = "control.sock";
/// Two starts of a worker at the default deadline, and some more.
const LONGEST_ANSWER: Duration = Duration::from_secs(90);
/// An answer is a line of JSON.
const MAX_ANSWER: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
