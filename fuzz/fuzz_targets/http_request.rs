//! Any request of anybody with a certificate is answered as the API says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::api::http_request(input));
