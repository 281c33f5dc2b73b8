//! Whatever a master publishes, its serial rises.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::conversation::publication_signed_load(input));
