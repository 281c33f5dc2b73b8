//! What the verifier accepts and refuses, measured against Salt, Python, OpenSSL and the `rsa`
//! crate.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

#[cfg(feature = "agent")]
mod agent;
mod clean_key;
#[cfg(feature = "agent")]
mod commands;
mod differential;
mod failover;
mod fingerprints;
#[cfg(feature = "agent")]
mod hostile;
#[cfg(feature = "agent")]
mod jobs;
#[cfg(feature = "agent")]
mod net;
mod parse;
#[cfg(feature = "agent")]
mod run;
#[cfg(feature = "agent")]
mod scripted;
mod vectors;
mod wire;
mod zmtp;
