//! Neither end of the worker's socket can be confused by the other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::service::worker_frames(input));
