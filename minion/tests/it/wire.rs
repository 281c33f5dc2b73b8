//! The wire layer against what real masters and minions sent, and against what a hostile peer
//! might.

pub(crate) mod capture;
mod captures;
mod damage;
mod hostile;
mod keys;
mod msgpack;
mod sealed;

/// How many frames are recorded.
const FRAMES: usize = 515;
