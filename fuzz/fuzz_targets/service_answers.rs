//! What a service answers can be used, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::rest::service_answers(input));
