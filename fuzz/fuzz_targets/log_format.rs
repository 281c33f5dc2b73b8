//! A format of log lines or dates is kept as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::host::log_format(input));
