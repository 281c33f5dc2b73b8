//! No client is let in but the one whose certificate was issued and not taken back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::client_chain(input));
