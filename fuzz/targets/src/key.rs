//! Keys and signatures as texts.

use minion::verify::{Fingerprint, PublicKey, Signature, clean_key};
use openssl::hash::{MessageDigest, hash};
use signer::commands::masters::fingerprint::Given;

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

/// A fingerprint that somebody gives is one however it is spelled, and names a key only if hashing
/// a form of that key gives it.
pub fn fingerprint(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let key = PublicKey::parse(KEY.as_bytes()).expect("a key");
    match Given::parse(text) {
        Ok(given) => {
            assert_eq!(Given::parse(&text.to_uppercase()), Ok(given.clone()));
            assert_eq!(Given::parse(&format!("  {text}\n")), Ok(given.clone()));
            let digits = digits(text);
            let name = given.matches(&key);
            assert_eq!(
                name.is_some(),
                fingerprints(&key).contains(&digits),
                "{text}"
            );
            assert!(name.is_none_or(|name| name.digest == given.digest()));
            let is_name = given.is_name_of(key.hash()).is_some();
            assert_eq!(is_name, digits == key.hash().to_string());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(print) = text.parse::<Fingerprint>() {
        assert_eq!(print.to_string(), text);
        assert!(Given::parse(text).is_ok(), "Salt's form is understood");
    }
}

/// What a reader takes who knows of no digest but by its name.
fn digits(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let names = ["md5:", "sha1:", "sha224:", "sha256:", "sha384:", "sha512:"];
    let rest = names.iter().find_map(|name| text.strip_prefix(name));
    rest.unwrap_or(&text).replace(':', "")
}

/// All of one key, as people paste them.
#[must_use]
pub fn fingerprint_seeds() -> Vec<Vec<u8>> {
    let key = PublicKey::parse(KEY.as_bytes()).expect("a key");
    let mut seeds: Vec<String> = fingerprints(&key);
    seeds.push(format!("sha256:{}", key.hash()));
    seeds.push(Fingerprint::salt(&key).to_string());
    seeds.push(Fingerprint::file(&key).to_string().to_uppercase());
    seeds.push(format!("md5:{}", "0f".repeat(16)));
    seeds.into_iter().map(String::into_bytes).collect()
}

/// Each digest of each form, in plain hexadecimal.
fn fingerprints(key: &PublicKey) -> Vec<String> {
    let text = key.canonical();
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(|line| format!("{line}\n"))
        .collect();
    let forms = [
        text.as_bytes().to_vec(),
        format!("{text}\n").into_bytes(),
        body.into_bytes(),
        key.to_der().expect("it was read"),
    ];
    let digests = [
        MessageDigest::md5(),
        MessageDigest::sha1(),
        MessageDigest::sha224(),
        MessageDigest::sha256(),
        MessageDigest::sha384(),
        MessageDigest::sha512(),
    ];
    let all = forms
        .iter()
        .flat_map(|form| digests.map(|digest| hash(digest, form)));
    all.map(|found| hex::encode(found.expect("OpenSSL has it")))
        .collect()
}

const KEY: &str = include_str!("../../../minion/tests/vectors/fingerprints/other.pub");

fn files(ending: &str) -> Vec<Vec<u8>> {
    let folders = entries(&root().join("gen-signature"));
    let files = folders.iter().flat_map(|folder| entries(folder));
    let files = files.filter(|file| file.to_string_lossy().ends_with(ending));
    files
        .map(|file| std::fs::read(file).expect("a vector"))
        .collect()
}
