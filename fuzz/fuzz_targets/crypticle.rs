//! Nothing opens but what the key sealed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::sealed::crypticle(input));
