//! The state file of a minion is what it wrote, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::host::state_file(input));
