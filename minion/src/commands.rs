//! What `mastersign-minion` can be asked for, a file each.

pub mod check;
pub mod masters;
pub mod run;
pub mod verify;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Sentences.
    #[default]
    Text,
    /// One JSON object.
    Json,
}
