//! The wire layer against what real masters and minions sent, and against what a hostile peer
//! might.

pub(crate) mod capture;
mod captures;
mod hostile;
mod keys;
mod msgpack;
mod sealed;
