//! Whatever a master signs, a session is one with that master.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::conversation::auth_signed_load(input));
