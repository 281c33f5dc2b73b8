//! Keys and signatures as texts.

use minion::verify::{PublicKey, Signature, clean_key};

use crate::capture::{entries, root};

/// A master's key that is understood has one canonical form, which is understood as the same key.
pub fn public_key(input: &[u8]) {
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
}

/// Keys that Salt wrote.
#[must_use]
pub fn public_key_seeds() -> Vec<Vec<u8>> {
    files(".pub")
}

/// A signature file that is understood is written out as Salt would, and means the same.
pub fn signature_file(input: &[u8]) {
    if let Ok(signature) = Signature::from_file(input) {
        let file = signature.to_file();
        assert_eq!(Signature::from_file(file.as_bytes()), Ok(signature));
    }
}

/// Files that Salt wrote.
#[must_use]
pub fn signature_file_seeds() -> Vec<Vec<u8>> {
    files("_signature")
}

fn files(ending: &str) -> Vec<Vec<u8>> {
    let folders = entries(&root().join("gen-signature"));
    let files = folders.iter().flat_map(|folder| entries(folder));
    let files = files.filter(|file| file.to_string_lossy().ends_with(ending));
    files
        .map(|file| std::fs::read(file).expect("a vector"))
        .collect()
}
