//! The end-to-end tests: one binary, a file for each promise.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test panics to fail; clippy exempts test functions but not their helpers"
)]

mod acceptance;
mod concurrency;
mod fetch;
mod hsm_commands;
mod jobs;
mod minion_config;
mod outage;
mod salt;
mod worker_gate;
mod workers;
mod zmtp;
