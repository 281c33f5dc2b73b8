//! Signatures by keys that live in HSMs.
//!
//! A PKCS#11 module is foreign code that may hang, crash or corrupt memory, and a call that hangs
//! cannot be cancelled inside its process. So it never runs in the service: each configured token
//! has a worker process of its own (`mastersign hsm-worker`), which the service kills at a deadline
//! and replaces. Threads would be cheaper to start, but the only cure for a hung one is to end the
//! process, and that must not be the process that serves.
//!
//! # Layout
//!
//! ```text
//! pool         a Permit goes in, a verified signature comes out
//! → queue      what waits, what is sent again, what is suspected of killing workers
//! → supervisor one per HSM: start, serve, restart
//! → flight     which calls a worker holds, and which of them are past the deadline
//! → process    the worker process and its socket, as the service sees them
//! → protocol   the frames between the two
//! → worker     the other end: checks the acceptance again, then calls the token
//! → token      PKCS#11
//! ```
//!
//! Beside the path: [`pin`] reads PINs and [`unlock`] takes those that an operator hands over,
//! [`latch`] remembers the wrong ones and [`attempt`] the logins whose end nobody saw, [`breaker`]
//! spaces the restarts, [`status`] is what an operator sees.

pub mod attempt;
pub mod breaker;
mod flight;
pub mod latch;
pub mod pin;
mod pool;
mod process;
pub mod protocol;
mod queue;
mod serving;
mod shared;
mod start;
pub mod status;
mod supervisor;
pub mod token;
mod unlock;
mod verified;
pub mod worker;

pub use attempt::Attempts;
pub use latch::{LatchError, LatchKey, PinLatch};
pub use pool::Pool;
pub(crate) use process::INHERITED;
pub use status::{HsmStatus, State};
pub use unlock::UnlockError;
pub use verified::Verified;

use std::path::PathBuf;
use std::sync::Arc;

use minion::verify::KeyHash;
use uuid::Uuid;

/// What the pool needs to know of the service around it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The program to start as `hsm-worker`: the service's own.
    pub executable: PathBuf,
    /// The configuration file; a worker reads it by itself and takes the operators' CA from there.
    pub config: PathBuf,
    /// The store whose acceptances count.
    pub store: Uuid,
    /// The store's active signing key. Without one, the first configured HSM brings it.
    pub signing_key: Option<KeyHash>,
    /// Remembers wrong PINs over restarts.
    pub latch: Arc<dyn PinLatch>,
    /// Turns a PIN into what the latch remembers of it.
    pub latch_key: LatchKey,
    /// Remembers logins whose end nobody saw.
    pub attempts: Attempts,
    /// Log in even if the token says that a wrong PIN was presented lately
    /// (`CKF_USER_PIN_COUNT_LOW`).
    pub force_login: bool,
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two worker processes ended or hung with this call in hand.
    #[error("two HSM workers were lost over this signature")]
    Lost,
    /// The HSM returned something that is not the signature; it gets no more calls.
    #[error("the HSM {hsm} returned a signature that does not verify, and gets no more calls")]
    Quarantined {
        /// Its name in the configuration.
        hsm: String,
    },
    /// The worker would not sign this key: it checks acceptance and form by itself.
    #[error("the HSM worker refused the key: {reason}")]
    Refused {
        /// What the worker found.
        reason: String,
    },
    /// The token answered that it cannot do this; another attempt would end the same way.
    #[error("the token refused the operation: {reason}")]
    Rejected {
        /// The function and the code that it returned.
        reason: String,
    },
    /// As many calls wait as may wait.
    #[error("too many signatures are waiting for the HSM")]
    Saturated,
    /// No HSM can sign at the moment.
    #[error("no HSM is ready")]
    Unavailable,
}

impl Error {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Lost | Self::Quarantined { .. } | Self::Saturated | Self::Unavailable => true,
            Self::Refused { .. } | Self::Rejected { .. } => false,
        }
    }
}
