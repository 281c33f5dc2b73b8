//! A Salt master for tests: it does what a real one does, until a script says otherwise.
//!
//! [`Master`] speaks ZMTP over real TCP, a ROUTER and a PUB socket, and answers `_auth` of version
//! 3, requests and Salt's clear `ping` as salt-master 3008.5 does; that is checked against
//! recordings of the real one. A script sees every request together with the honest answer to it
//! and may put [`Step`]s in its place. Whatever happened is in the [`Log`], so that a test can wait
//! for an event, and can tell that the fault it meant was reached.
//!
//! The other side of the wire is written here for a second time on purpose: the sealing, the
//! signatures and the frames share no code with the minion that they are used against, so a mistake
//! cannot cancel itself out. Only MessagePack values are the minion's.
//!
//! It is a library and not a module of some test because two suites need it: the minion's own, and
//! the one that measures a thousand minions in one process.
//!
//! - [`keys`]: RSA as a master uses it; [`seal`]: Salt's symmetric envelope, also wrong ones
//! - [`request`]: what a minion sent; [`reply`]: what it gets, to be edited before it is signed
//! - Jobs are in [`publish`]
//! - [`master`]: the sockets, the script, the log
#![forbid(unsafe_code)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test's tool may panic"
)]

pub mod keys;
pub mod master;
pub mod publish;
pub mod reply;
pub mod request;
pub mod seal;
mod zmtp;

pub use keys::Keypair;
pub use master::{Answer, Exchange, Gate, Hello, Log, Master, Setup, Step, Verdict};
pub use publish::Job;
pub use reply::{Load, remove, set};
pub use seal::SharedKey;
