//! What a service says when it refuses is fit for a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::rest::problem(input));
