//! What the service and a worker say to each other.
//!
//! Both ends are the same program of the same version, so there is no negotiation. The encoding is
//! our own few lines of length-prefixed fields rather than JSON: a signature costs the service less
//! than a tenth of a millisecond in all, and escaping three PEM texts would be a good part of it.
//! Nothing here does I/O.
//!
//! There is no operation that takes a digest or free bytes: the worker gets the whole key text and
//! the acceptance, and decides by itself.

mod fields;
mod frame;
mod order;
mod report;

pub use fields::Malformed;
pub use frame::{Decoder, Frame, FrameError, MAX_BODY};
pub use order::Order;
pub use report::{Cause, Report, TokenReport, Trial, WorkerReady};
