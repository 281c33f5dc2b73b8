//! An operator's decision is one, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::rest::signed_statement(input));
