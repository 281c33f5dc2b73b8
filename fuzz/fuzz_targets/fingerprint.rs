//! A fingerprint is one however it is spelled, and names no other key.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::key::fingerprint(input));
