//! No reply is opened but the one to this request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::conversation::request_reply(input));
