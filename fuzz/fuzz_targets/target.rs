//! Judging a target ends, for any pattern and any id.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::target::run(input));
