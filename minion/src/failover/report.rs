//! The log lines of the tutorial, word for word, as data.
//!
//! Operators grep for these words, also for those that today's Salt no longer writes. The lines
//! between "Attempting to authenticate" and "Authentication with master successful!" belong to the
//! handshake and are written there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One line for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// The next attempt goes to another master than the last.
    AddressChanged {
        /// The master before.
        from: Arc<str>,
        /// The master that is asked next.
        to: Arc<str>,
    },
    /// An attempt begins.
    Attempting(Arc<str>),
    /// A master accepted the minion.
    Authenticated,
    /// A master stored our key; the minion waits and asks again.
    Cached {
        /// How long it waits, before jitter.
        wait: Duration,
    },
    /// The master in use is gone.
    Lost(Arc<str>),
    /// A whole round over the list failed.
    NoMaster,
    /// A lost master goes to the end of the order.
    Removing(Arc<str>),
    /// A master rejected our key; others are left, or `rejected_retry` is set.
    Rejected,
    /// Every master rejected our key, and the minion ends.
    RejectedByAll,
    /// An attempt failed and the next master is due.
    TryingNext(Arc<str>),
    /// After a loss the search begins, or the first master is back and the minion goes there.
    TuningIn,
    /// The only master's name has no address.
    Unresolved {
        /// The name.
        master: Arc<str>,
        /// How long until the next look-up.
        wait: Duration,
    },
}

impl Report {
    /// The level that Salt gives the line.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::RejectedByAll => Level::Critical,
            Self::Cached { .. } | Self::NoMaster | Self::Rejected | Self::Unresolved { .. } => {
                Level::Error
            }
            Self::AddressChanged { .. } => Level::Warning,
            Self::Authenticated
            | Self::Lost(_)
            | Self::Removing(_)
            | Self::TryingNext(_)
            | Self::TuningIn => Level::Info,
            Self::Attempting(_) => Level::Debug,
        }
    }
}

// Salt 3008.5, salt/minion.py and salt/crypt.py; Attempting, Authenticated and Removing as in the
// tutorial.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressChanged { from, to } => {
                write!(f, "Master ip address changed from {from} to {to}")
            }
            Self::Attempting(master) => {
                write!(
                    f,
                    "Attempting to authenticate with the Salt Master at {master}"
                )
            }
            Self::Authenticated => f.write_str("Authentication with master successful!"),
            Self::Cached { wait } => write!(
                f,
                "The Salt Master has cached the public key for this node, this salt minion will \
                 wait for {} seconds before attempting to re-authenticate",
                wait.as_secs()
            ),
            Self::TuningIn => f.write_str("Trying to tune in to next master from master-list"),
            Self::Lost(master) => write!(f, "Connection to master {master} lost"),
            Self::NoMaster => f.write_str(
                "No master could be reached or all masters denied the minion's connection attempt.",
            ),
            Self::Removing(master) => {
                write!(
                    f,
                    "Removing possibly failed master {master} from list of masters"
                )
            }
            Self::Rejected => f.write_str(REJECTED),
            Self::RejectedByAll => f.write_str(REJECTED_BY_ALL),
            Self::TryingNext(master) => {
                write!(
                    f,
                    "Master {master} could not be reached, trying next master (if any)"
                )
            }
            Self::Unresolved { master, wait } => write!(
                f,
                "Master hostname: '{master}' not found or not responsive. Retrying in {} seconds",
                wait.as_secs()
            ),
        }
    }
}

/// Salt's log levels.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// For who debugs.
    Debug,
    /// What happened.
    Info,
    /// What an operator may want to look at.
    Warning,
    /// What did not work.
    Error,
    /// What ends the minion.
    Critical,
}

const REJECTED: &str = "The Salt Master has rejected this minion's public key.\n\
    To repair this issue, delete the public key for this minion on the Salt Master.\n\
    The Salt Minion will attempt to to re-authenicate.";
const REJECTED_BY_ALL: &str = "The Salt Master has rejected this minion's public key!\n\
    To repair this issue, delete the public key for this minion on the Salt Master and restart \
    this minion.\n\
    Or restart the Salt Master in open mode to clean out the keys. The Salt Minion will now exit.";
