//! `fetch.toml` and `admin.toml` are settings, or an error that names the file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::local::client_settings(input));
