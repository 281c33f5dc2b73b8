//! A request that came as a file is believed only with both signatures.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::request_claim(input));
