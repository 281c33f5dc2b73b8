//! Whatever is asked is answered, and the answer can be sent.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::job::run(input));
