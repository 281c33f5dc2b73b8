//! Whatever stands in the place of the service's certificates, lists and key, nobody gets in that was not vouched for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::service_papers(input));
