//! Any files of a salt-master are a configuration, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::config::salt_config(input));
