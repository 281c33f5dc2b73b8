//! A signature file that is understood is written out as Salt would, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::key::signature_file(input));
