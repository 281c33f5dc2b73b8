//! A PIN is the file but for one newline, or an error that does not show it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::local::pin_source(input));
