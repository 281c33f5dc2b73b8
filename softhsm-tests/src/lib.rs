//! What the end-to-end suite is made of: real tokens, the real service, real Salt.
//!
//! The tests are in `tests/it/`, one binary with a file for each promise. They take nothing from
//! the machine but installed programs: every token, certificate, configuration and port is made for
//! one test and goes with it.
//!
//! - [`process`]: child processes that cannot outlive the test, and their output as events
//! - [`salt`]: real masters and minions, of three Salt versions
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test harness finds programs through the environment"
)]

pub mod binaries;
pub mod counts;
pub mod people;
pub mod pki;
pub mod pool;
pub mod process;
pub mod salt;
pub mod search;
pub mod service;
pub mod token;

/// How often a test whose name begins with `soak` repeats itself: once, or `SOFTHSM_TESTS_ROUNDS`
/// times.
///
/// # Panics
///
/// Panics if the variable is no number.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "whoever set the variable must see what is wrong with it"
)]
pub fn rounds() -> usize {
    std::env::var("SOFTHSM_TESTS_ROUNDS").map_or(1, |text| {
        text.parse()
            .expect("SOFTHSM_TESTS_ROUNDS is a number of rounds")
    })
}
