//! Nobody's decision counts but an admin's, word for word.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::operator_decision(input));
