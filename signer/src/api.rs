//! placeholder
pub mod problem;
