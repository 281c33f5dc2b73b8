//! `os-release` becomes grains that travel.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::host::os_release(input));
