//! The wire layer against what real masters and minions sent, and against what a hostile peer
//! might.

mod msgpack;
mod sealed;
