//! The files in a minion's `pki_dir` are all believed, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::host::minion_pki(input));
