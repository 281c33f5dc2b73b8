//! ZMTP 3.1, the protocol under ZeroMQ, as the side that connects: bytes and instants in, events
//! and bytes out.
//!
//! It speaks REQ and SUB over the NULL mechanism, which is all that Salt uses. It is written here
//! because neither library can carry ten thousand minions past a heartbeat: the `zeromq` crate
//! takes the PING that a Salt master sends every ten seconds for an error and drops the connection,
//! and whatever is published until it is back; libzmq under `zmq` takes three descriptors and 34
//! KiB a socket, and answers PINGs where nobody can see them. The PING is the fastest sign of a
//! master that is stopped or cut off, so the application must be able to send one.
//!
//! RFC 37 is the specification (23 for 3.0 peers, 28 and 29 for the patterns); libzmq 4.3.5, which
//! real masters run, decides where the text leaves a choice. In the order of the data: `greeting`,
//! `frame`, `command`, then [`Connection`], which joins them, and [`Heartbeat`], which tells when
//! to ask. When to come back after a loss is `failover`'s to say.
#![warn(clippy::wildcard_enum_match_arm)]

mod command;
mod connection;
mod error;
mod frame;
mod greeting;
mod heartbeat;

pub use command::{Context, Identity};
pub use connection::{Connection, Event, Publication, Socket};
pub use error::Error;
pub use greeting::Version;
pub use heartbeat::{Heartbeat, Pulse, Rhythm};

/// The longest message, all frames together.
///
/// Salt bounds its own events at 1 MiB (`max_event_size`) and sends files in pieces of 256 KiB;
/// four times the larger leaves room for jobs with large arguments. The bytes are not yet authentic
/// when we hold them, so there must be a limit. Memory grows as they arrive, never by a size they
/// claim.
pub const MESSAGE_LIMIT: usize = 4 << 20;

/// The longest command.
///
/// The largest one that libzmq sends is a READY of a socket type and a 255 byte identity; metadata
/// of the application's own (`X-…`) may come on top.
pub const COMMAND_LIMIT: usize = 4 << 10;

/// The most frames in a message: a delimiter and a reply, or a topic and a publication.
pub const FRAMES_LIMIT: usize = 2;

/// The most bytes of unsent answers to PINGs, about 160 of them.
///
/// A master sends one in ten seconds and gives up after thirty without an answer. More can only
/// pile up before a peer that asks and doesn't read.
pub const PONG_LIMIT: usize = 4 << 10;
