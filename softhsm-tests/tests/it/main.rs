//! The end-to-end tests: one binary, a file for each promise.
#![expect(
    clippy::disallowed_methods,
    reason = "tests find programs through the environment; the ban has no test exemption"
)]

mod salt;
mod workers;
