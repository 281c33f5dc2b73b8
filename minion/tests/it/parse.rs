//! Which spellings of a key are taken, and what is said about the others.

use minion::verify::{KeyError, PublicKey};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use crate::vectors::VECTORS;

fn parse(text: impl AsRef<[u8]>) -> Result<PublicKey, KeyError> {
    PublicKey::parse(text.as_ref())
}

/// A canonical key without final newline.
fn canonical() -> &'static str {
    VECTORS[0].master.trim_end()
}

fn not_canonical_at(text: &str) -> Option<usize> {
    match parse(text) {
        Err(KeyError::NotCanonical { offset }) => Some(offset),
        Ok(_) | Err(_) => None,
    }
}

#[test]
fn one_final_newline_or_none_makes_the_same_key() {
    let key = parse(canonical()).unwrap();
    assert_eq!(parse(format!("{}\n", canonical())), Ok(key.clone()));
    assert_eq!(key.canonical(), canonical());
    assert_eq!(key.canonical().len(), 450);
}

#[test]
fn every_other_white_space_at_the_ends_is_refused() {
    let key = canonical();
    for text in [
        format!("{key}\n\n"),
        format!("{key}\r\n"),
        format!("{key} "),
        format!("{key} \n"),
        format!("{key}\n "),
        format!("\n{key}"),
        format!(" {key}"),
        format!("\t{key}"),
    ] {
        assert!(
            not_canonical_at(&text).is_some(),
            "{text:?} {:?}",
            parse(&text)
        );
    }
}

#[test]
fn line_ends_and_line_lengths_are_part_of_the_form() {
    let key = canonical();
    assert_eq!(not_canonical_at(&key.replace('\n', "\r\n")), Some(26));
    assert_eq!(not_canonical_at(&key.replacen('\n', "\n\n", 1)), Some(27));
    assert_eq!(not_canonical_at(&wrapped_at(76)), Some(27 + 64));
    assert!(parse(key.replacen('\n', "", 1)).is_err());
    assert!(parse(key.replace('\n', "\r")).is_err());
    assert!(parse(wrapped_at(1000)).is_err());
    assert!(parse(wrapped_at(48)).is_err());
}

#[test]
fn text_around_the_block_is_refused() {
    let key = canonical();
    for text in [
        format!("\u{feff}{key}"),
        format!("# master-1\n{key}"),
        format!("{key}\n# master-1\n"),
        format!("{key}\n{key}\n"),
        format!("{key}\n{}", VECTORS[1].master),
    ] {
        assert_eq!(parse(&text), Err(KeyError::NotAlone), "{text:?}");
    }
}

#[test]
fn headers_inside_the_block_are_refused() {
    let (begin, rest) = canonical().split_once('\n').unwrap();
    assert!(parse(format!("{begin}\nComment: master-1\n\n{rest}")).is_err());
}

#[test]
fn another_kind_of_pem_is_named() {
    let rsa = Rsa::generate(2048).unwrap();
    let pkcs1 = String::from_utf8(rsa.public_key_to_pem_pkcs1().unwrap()).unwrap();
    assert_eq!(not_canonical_at(&pkcs1), Some(11));
    assert_eq!(
        parse(rsa.private_key_to_pem().unwrap()),
        Err(KeyError::PrivateKey)
    );
    let pkey = PKey::from_rsa(rsa).unwrap();
    let pkcs8 = pkey.private_key_to_pem_pkcs8().unwrap();
    assert_eq!(parse(pkcs8), Err(KeyError::PrivateKey));

    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(parse(certificate), Err(KeyError::Certificate));
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let label = "CERTIFICATE REQUEST".to_owned();
    assert_eq!(parse(request), Err(KeyError::OtherPem { label }));
}

#[test]
fn another_kind_of_key_is_refused() {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let ec = EcKey::generate(&group).unwrap();
    assert_eq!(
        parse(ec.public_key_to_pem().unwrap()),
        Err(KeyError::NotRsa)
    );
    assert_eq!(
        parse(ec.private_key_to_pem().unwrap()),
        Err(KeyError::PrivateKey)
    );
    let ed25519 = PKey::generate_ed25519().unwrap();
    assert_eq!(
        parse(ed25519.public_key_to_pem().unwrap()),
        Err(KeyError::NotRsa)
    );
}

#[test]
fn what_is_no_pem_is_refused() {
    let key = canonical();
    assert_eq!(parse(""), Err(KeyError::NotPem));
    assert_eq!(parse("ssh-rsa AAAA"), Err(KeyError::NotPem));
    assert_eq!(parse(b"\xff\xfe-----BEGIN"), Err(KeyError::NotText));
    assert_eq!(
        parse(key.replace("-----END", "----END")),
        Err(KeyError::NotPem)
    );
    assert_eq!(
        parse(key.replace("END PUBLIC", "END PRIVATE")),
        Err(KeyError::NotPem)
    );
}

#[test]
fn every_truncation_is_refused() {
    let key = canonical();
    for length in 0..key.len() {
        assert!(parse(&key[..length]).is_err(), "{length}");
    }
}

#[test]
fn another_encoding_of_the_same_numbers_is_refused() {
    // The exponent with a leading zero: 02 03 01 00 01 becomes 02 04 00 01 00 01, and three lengths
    // grow by one.
    let der = parse(canonical()).unwrap().to_der().unwrap();
    let mut longer = der.clone();
    assert!(longer.ends_with(&[0x02, 0x03, 0x01, 0x00, 0x01]));
    longer.truncate(der.len() - 4);
    longer.extend([0x04, 0x00, 0x01, 0x00, 0x01]);
    for low_byte_of_length in [3, 22, 27] {
        longer[low_byte_of_length] += 1;
    }
    assert!(parse(pem(&longer)).is_err());
    assert!(parse(pem(&der)).is_ok());
    assert!(parse(pem(&[&der[..], &[0]].concat())).is_err());
}

#[test]
fn any_spelling_decodes_to_the_key_that_is_shown() {
    let key = parse(canonical()).unwrap();
    for text in [
        canonical().replace('\n', "\r\n"),
        format!("\n{}\n\n", canonical()),
        wrapped_at(76),
    ] {
        assert_eq!(PublicKey::decode(&text), Ok(key.clone()), "{text:?}");
    }
    let parts = PublicKey::from_components(&key.modulus(), &key.exponent());
    assert_eq!(parts, Ok(key));
}

fn wrapped_at(columns: usize) -> String {
    let mut lines: Vec<&str> = canonical().lines().collect();
    let (begin, end) = (lines.remove(0), lines.pop().unwrap());
    let body: Vec<char> = lines.concat().chars().collect();
    let body: Vec<String> = body
        .chunks(columns)
        .map(|line| line.iter().collect())
        .collect();
    format!("{begin}\n{}\n{end}", body.join("\n"))
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;

    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
        lines.join("\n")
    )
}
