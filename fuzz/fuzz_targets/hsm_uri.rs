//! A PKCS#11 URI that is understood means the same after it was written out.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::service::hsm_uri(input));
