//! A master's key that is understood has one canonical form, which is understood as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minion::verify::{PublicKey, clean_key};

fuzz_target!(|input: &[u8]| {
    if let Ok(key) = PublicKey::parse(input) {
        let again = PublicKey::parse(key.canonical().as_bytes()).expect("its own text parses");
        assert_eq!(again.hash(), key.hash());
        assert_eq!(clean_key(key.canonical()), key.canonical());
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(key) = PublicKey::decode(text)
    {
        assert!(PublicKey::parse(key.canonical().as_bytes()).is_ok());
    }
});
