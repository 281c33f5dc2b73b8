//! A certificate signing request is understood or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::service::certificate_request(input));
