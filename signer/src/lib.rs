//! The signing service of Salt's multi-master PKI, and everything around it that an operator runs.
//!
//! # Layout
//!
//! The modules stand in the order in which one request for a signature meets them:
//!
//! ```text
//! tls         mTLS: certificate → identity
//! → server     connections, deadlines, limits; no rules
//! → api        HTTP: PEM → key, or a problem
//! → key_policy which keys are fit to be signed
//! → authorize  identity, acceptance, proof → Permit; signing consumes one
//! → signing    the use case: permit → cache → hsm → verify → store
//! → cache      one flight per key
//! → hsm        bounded queue → worker process → PKCS#11
//! → store      named operations over a small backend; the audit record in the same transaction
//! → audit      the hash chain
//! ```
//!
//! Beside the path: [`control`] is the door for root on the service's machine, [`pki`] makes its
//! certificates, [`client`] and [`fetch`] are the masters' and operators' side of it, [`offline`]
//! is a request as a file, [`commands`] is the command line.
#![deny(unsafe_code)]

pub mod cli;

pub mod config;

pub mod anchor;

pub mod tls;

pub mod server;

pub mod api;

pub mod key_policy;

pub mod authorize;

pub mod signing;

pub mod cache;

pub mod hsm;

pub mod store;

pub mod audit;

pub mod control;

pub mod client;

pub mod fetch;

pub mod pki;

pub mod clock;

pub mod commands;

pub mod confinement;

pub mod memory;

pub mod offline;

pub mod telemetry;

pub mod terminal;
