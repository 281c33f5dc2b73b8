//! Nothing is taken for a publication but what the master published.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::conversation::publication(input));
