//! The record of who changed what, chained so that none of it can be changed later without being
//! seen.
//!
//! Each change of the state writes exactly one [`Record`] in the same transaction, and each record
//! carries the hash of the one before it as well as the digest of every row that it wrote. The
//! chain thus says what the whole state must look like, and loading compares the two. Storing the
//! hash beside each record instead would let whoever edits a record edit its hash too.

pub mod chain;
mod inbox;
mod record;
pub mod sink;

pub use inbox::{Inbox, Note};
pub use record::{Action, Actor, Digest, DigestError, Event, ReadError, Record};
