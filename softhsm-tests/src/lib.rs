//! What the end-to-end suite is made of: real tokens, the real service, real Salt.
//!
//! The tests are in `tests/it/`, one binary with a file for each promise. They take nothing from
//! the machine but installed programs: every token, certificate, configuration and port is made for
//! one test and goes with it.
//!
//! - [`token`]: a PKCS#11 token of its own for each test; [`counts`]: what reached it
//! - [`pki`]: certificates; [`people`]: who shows them
//! - [`service`]: the signing service; [`pool`]: its HSM workers alone
//! - [`salt`]: real masters and minions, of three Salt versions, and our minion beside them;
//!   [`namespace`]: a network in which packets get lost
//! - [`search`]: is there a private key in what was written?
//! - [`dialogue`]: a program with a terminal and somebody at it
//! - [`process`]: child processes that cannot outlive the test, and their output as events
//! - [`binaries`]: the programs under test; [`measure`]: what a benchmark counts with
//!
//! `make test` runs everything. One test, for example:
//!
//! ```text
//! cargo test -p softhsm-tests --test it -- salt_3008
//! ```
//!
//! `PKCS11_MODULE` names another module than SoftHSM2's.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test harness finds programs through the environment"
)]

pub mod binaries;
pub mod counts;
pub mod dialogue;
pub mod measure;
pub mod namespace;
pub mod people;
pub mod pki;
pub mod pool;
pub mod process;
pub mod salt;
pub mod search;
pub mod service;
pub mod token;

/// How often the tests that `make soak` runs repeat themselves: once, or `SOFTHSM_TESTS_ROUNDS`
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
