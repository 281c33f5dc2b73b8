//! Salt's wire format as a minion speaks it: version 3, nothing older.
//!
//! Everything here is a function of its arguments. Nonces, initialisation vectors and times come in
//! as values, so every message that Salt ever sent can be made again byte for byte in a test;
//! OpenSSL draws what OAEP and blinding need by itself. Whatever a peer sends is parsed into types
//! in the first lines of the function that receives it.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod auth;
pub mod crypticle;
pub mod envelope;
pub mod id;
pub mod msgpack;
pub mod nonce;
pub mod private_key;
mod public_key;
pub mod publish;
pub mod request;
mod x931;
