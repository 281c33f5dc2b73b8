//! The store as its callers see it.

mod commits;
mod operations;
mod second_thoughts;
mod tampering;
