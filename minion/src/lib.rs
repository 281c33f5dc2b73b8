//! Salt's formats as a minion sees them, and the verification of a master's signed key.
//!
//! A minion that fails over between masters trusts each of them because one shared key,
//! `master_sign`, signed the master's public key. This crate owns that format: which bytes are
//! signed, by which algorithm, and how the signature is written into the file that a stock
//! salt-master serves. The signing service links the same code and sends every signature through it
//! before anybody else sees it, so what the service emits is what a minion accepts.
//!
//! Everything but `net` is pure: bytes in, values out; no async, no clock, no randomness, no files.
//! Checked against Salt 3006.30, 3007.17 and 3008.5.
//!
//! # Layout
//!
//! [`verify`] is in the order of the data: a PEM text becomes a [`verify::PublicKey`], a file
//! becomes a [`verify::Signature`], and the two meet in [`verify::PublicKey::verify`]. [`wire`] is
//! around it: what a master sends is decoded, a handshake is checked by [`verify`], and its result
//! opens what comes after. [`zmtp`] turns the bytes of a connection into replies and publications;
//! `net`, behind the feature `agent`, moves those bytes. [`failover`] decides which master to ask,
//! when, and whether the one in use is still there.
#![forbid(unsafe_code)]

#[cfg(feature = "agent")]
pub mod cli;

#[cfg(feature = "agent")]
pub mod commands;

#[cfg(feature = "agent")]
pub mod log;

#[cfg(feature = "agent")]
pub mod config;

#[cfg(feature = "agent")]
pub mod pki;

pub mod zmtp;

pub mod wire;

pub mod verify;

pub mod failover;

#[cfg(feature = "agent")]
pub mod grains;

#[cfg(feature = "agent")]
pub mod jobs;

#[cfg(feature = "agent")]
pub mod net;

#[cfg(feature = "agent")]
pub mod agent;
