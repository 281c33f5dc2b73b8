//! What `mastersign-minion` can be asked for, a file each; `mastersign` has `verify` from here.

#[cfg(feature = "agent")]
pub mod check;
#[cfg(feature = "agent")]
pub mod masters;
#[cfg(feature = "agent")]
pub mod run;
pub mod verify;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}
