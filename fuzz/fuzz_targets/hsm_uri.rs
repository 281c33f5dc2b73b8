//! A PKCS#11 URI that is understood means the same after it was written out.
#![no_main]

use hsm_config::Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<Uri>() {
        assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
    }
});
