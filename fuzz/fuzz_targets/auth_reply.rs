//! Nobody but the master that answered this very request is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::conversation::auth_reply(input));
