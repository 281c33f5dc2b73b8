//! Secrets come out of the pipe to the child as they went in.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::local::command_secrets(input));
