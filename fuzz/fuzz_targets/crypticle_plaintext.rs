//! Behind a right MAC: any plaintext.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::sealed::crypticle_plaintext(input));
