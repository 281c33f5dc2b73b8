//! placeholder
mod listener;
pub mod request;
