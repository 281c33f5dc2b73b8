//! The end-to-end tests: one binary, a file for each promise.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test panics to fail; clippy exempts test functions but not their helpers"
)]

mod acceptance;
mod audit;
mod concurrency;
mod confinement;
mod doctor;
mod durability;
mod fetch;
mod getting_there;
mod hsm_commands;
mod jobs;
mod key_policy;
mod master_config;
mod masters;
mod minion_config;
mod moving;
mod offline;
mod outage;
mod overload;
mod pages;
mod reload;
mod salt;
mod second_thoughts;
mod secrets;
mod supervision;
mod terminal;
mod unlock;
mod watch;
mod worker_gate;
mod workers;
mod wrong_signatures;
mod zmtp;
