//! The end-to-end tests: one binary, a file for each promise.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test panics to fail; the exemption of #[test] functions does not reach their helpers"
)]

mod acceptance;
mod concurrency;
mod fetch;
mod hsm_commands;
mod outage;
mod salt;
mod worker_gate;
mod workers;
mod zmtp;
