//! The service's database opens or says why not, and what was altered is not believed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::store::store_rows(input));
