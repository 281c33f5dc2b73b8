//! The edge of the service: who may speak to it at all.
pub mod peer;
