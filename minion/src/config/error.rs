//! Why a configuration is not used.

use std::path::PathBuf;

use super::master::MasterError;
use crate::failover::PolicyError;
use crate::salt_config::FileError;
use crate::wire::id::BadMinionId;

/// Names the file and the option, what was found there and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An id that a master would refuse.
    #[error("the minion's id cannot be used ({origin})")]
    Id {
        /// Where it comes from.
        origin: String,
        /// Why.
        #[source]
        source: BadMinionId,
    },
    /// A file that cannot be read.
    #[error("failed to read the configuration of the salt-minion")]
    File(#[from] FileError),
    /// An entry of `master` that is no address.
    #[error("{}: `master` cannot be used", file.display())]
    Master {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: MasterError,
    },
    /// An option that could only be ours, and is not.
    #[error(
        "{}: there is no option `{option}`; this minion has mastersign_loss_spread, \
         mastersign_pending, mastersign_stagger and mastersign_state_file beside Salt's",
        file.display()
    )]
    Misspelled {
        /// The option.
        option: String,
        /// The file.
        file: PathBuf,
    },
    /// The directory does not exist.
    #[error(
        "there is no directory {}; -c says in which directory the file `minion` is",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// A host whose names are all `localhost`.
    #[error(
        "no `id` is configured and this host has no name but localhost; write `id: NAME` into {}",
        .0.display()
    )]
    NoName(PathBuf),
    /// Options that do not go together.
    #[error("the options for several masters do not go together")]
    Policy(#[from] PolicyError),
    /// A value that Salt takes and this minion does not.
    #[error("{}: `{option}` {reason}", file.display())]
    Refused {
        /// The option.
        option: &'static str,
        /// The file.
        file: PathBuf,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A value of the wrong type, or none of those that there are.
    #[error("{}: `{option}` is {found}; expected: {expected}", file.display())]
    Value {
        /// The option.
        option: &'static str,
        /// The file.
        file: PathBuf,
        /// What stands there.
        found: String,
        /// What could stand there.
        expected: String,
    },
}
