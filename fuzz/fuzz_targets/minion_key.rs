//! A minion's key that is read is one that masters take.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::host::minion_key(input));
