//! From the bytes that a master shows to the verdict on its signature.
//!
//! There is one implementation of the canonical form and of the check, and the minion, the signing
//! service and the HSM worker all call it. A second reading of the same format would be a second
//! chance to disagree about it.

mod examine;
mod fingerprint;
mod key;
#[cfg(test)]
mod known_answers;
mod signature;

pub use examine::{Examination, Reason, Verdict, examine};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use key::{KeyError, KeyHash, KeyHashError, PublicKey, clean_key};
pub use signature::{Algorithm, Rejected, Signature, SignatureError, UnknownAlgorithm};
