//! Any file of certificates can be told about, and vouches for nobody that ours did not make.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz_targets::pki::certificates(input));
