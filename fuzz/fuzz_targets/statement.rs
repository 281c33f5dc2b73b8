//! An operator's statement has exactly one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signer::authorize::Statement;

fuzz_target!(|text: &str| {
    if let Ok(statement) = text.parse::<Statement>() {
        assert_eq!(statement.to_string(), text);
    }
});
