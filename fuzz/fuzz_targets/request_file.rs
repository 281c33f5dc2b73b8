//! A request that came as a file is one, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::rest::request_file(input));
