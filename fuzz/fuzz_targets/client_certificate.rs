//! Whom a client certificate names can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::service::client_certificate(input));
