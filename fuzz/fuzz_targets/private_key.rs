//! A signing key that is to be imported is one RSA key, in any form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::local::private_key(input));
