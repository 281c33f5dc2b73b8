//! x

pub mod directory;
pub mod keys;
pub mod privilege;
pub mod salt_config;
