//! One module per command; each parses nothing but its own arguments and returns its exit code.

pub mod audit;
pub mod dev;
pub mod fetch;
pub mod hsm;
pub mod hsm_worker;
pub(crate) mod local;
pub mod masters;
pub mod pki;
pub mod serve;
pub mod verify;
