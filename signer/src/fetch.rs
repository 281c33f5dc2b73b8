//! x

pub mod salt_config;
