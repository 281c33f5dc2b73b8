//! The operations, one file each: what has to hold, which rows change, and what the audit log says
//! about it.

pub(super) mod decide;
pub(super) mod latch;
pub(super) mod note;
pub(super) mod present;
pub(super) mod publish;
pub(super) mod signing_key;
