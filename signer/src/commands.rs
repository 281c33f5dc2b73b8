//! One module per command; each parses nothing but its own arguments and returns its exit code.

pub mod audit;
mod connection;
pub mod dev;
pub mod explain;
pub mod fetch;
pub mod hsm;
pub mod hsm_worker;
pub mod keys;
pub(crate) mod local;
pub mod masters;
pub mod openapi;
pub mod pki;
pub mod serve;
pub mod verify;
