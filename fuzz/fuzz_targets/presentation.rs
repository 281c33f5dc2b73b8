//! A master asks for a signature, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::rest::presentation(input));
