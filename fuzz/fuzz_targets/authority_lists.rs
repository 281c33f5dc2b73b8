//! An authority's own lists are read whole, or the line is named.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::authority_lists(input));
