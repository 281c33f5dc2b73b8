//! A master's key that is understood has one canonical form, which is understood as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::key::public_key(input));
