//! The sockets under [`crate::zmtp`]: what acts, and decides nothing.
//!
//! [`Request`] and [`Subscription`] each own one TCP connection, with a deadline on all that they
//! wait for. Neither reconnects: when to come back, and to which master, is one decision for all
//! connections of a minion, so it is made where all of them are known. Every method may be dropped
//! while it waits; only `Request::exchange` takes the connection with it.
//!
//! An idle connection keeps no buffer: what is read goes through the stack of the thread.

mod connect;
mod error;
mod link;
mod request;
mod subscribe;

pub use connect::{Connect, Keepalive};
pub use error::{Error, Stage};
pub use request::Request;
pub use subscribe::Subscription;
