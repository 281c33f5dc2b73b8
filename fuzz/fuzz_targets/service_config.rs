//! Any files are a configuration of the service, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::config::service_config(input));
