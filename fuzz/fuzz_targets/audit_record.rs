//! An audit record that is read has exactly one form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::service::audit_record(input));
