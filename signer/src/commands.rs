//! One module per command; each parses nothing but its own arguments and returns its exit code.

pub mod audit;
pub mod completions;
pub mod connection;
pub mod dev;
pub mod doctor;
pub mod explain;
pub mod fetch;
pub mod hsm;
pub mod hsm_worker;
mod input;
pub mod keys;
pub(crate) mod local;
pub mod man;
pub mod masters;
pub mod openapi;
pub mod pki;
pub mod request;
pub mod serve;
pub mod sign;
pub mod watch;

/// What both programs can be asked for is written once.
pub use minion::commands::{Output, verify};
