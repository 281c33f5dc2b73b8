//! Known answers that others made: NIST's and Wycheproof's.

mod nist;
mod sha1;
mod wycheproof;
