//! A signature file that is understood is written out as Salt would, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minion::verify::Signature;

fuzz_target!(|input: &[u8]| {
    if let Ok(signature) = Signature::from_file(input) {
        let file = signature.to_file();
        assert_eq!(Signature::from_file(file.as_bytes()), Ok(signature));
    }
});
