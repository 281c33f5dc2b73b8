//! Why an `[[hsm]]` section is refused.
//!
//! An error names the section and the key in it, because a file has several sections and a reader
//! fixes one line; the cause is the error of the part that the key belongs to.

use crate::{
    HsmNameError, KeyIdError, KeySelectorError, ModuleError, PinError, PoolError, ProfileError,
    TokenSelectorError, UriError,
};

/// A key of an `[[hsm]]` section that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[[hsm]] {hsm:?}, key `{key}`")]
pub struct Error {
    /// The section's `name`; a question mark if it is none.
    pub hsm: String,
    /// The key within the section.
    pub key: &'static str,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with one key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name that is not one.
    #[error(transparent)]
    HsmName(#[from] HsmNameError),
    /// A key id that is not one.
    #[error(transparent)]
    KeyId(#[from] KeyIdError),
    /// A key label that no token can hold.
    #[error(transparent)]
    KeySelector(#[from] KeySelectorError),
    /// Neither this key nor another one that says the same.
    #[error("{0}")]
    Missing(&'static str),
    /// A module that cannot be meant.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// A path that depends on the directory in which the service was started.
    #[error("the path must be absolute")]
    NotAbsolute,
    /// A PIN source that is not one.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A bound that does not hold.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A provider profile that does not exist.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A token label or serial that no token can have.
    #[error(transparent)]
    TokenSelector(#[from] TokenSelectorError),
    /// Two keys that say the same thing.
    #[error("`{other}` says the same; give one of the two")]
    Twice {
        /// The other key.
        other: &'static str,
    },
    /// A URI that is not one, or that holds what a URI must not hold.
    #[error(transparent)]
    Uri(#[from] UriError),
}
