//! What the service has to remember, and the only ways to change it.

pub mod backend;
mod state;

pub use crate::audit::Actor;
pub use backend::Backend;
pub use state::{
    KeyRecord, Latch, Master, Quarantined, SigningKeyRecord, SigningKeyState, State, Status,
    StoredSignature,
};
