//! The minion's key: what is read and refused, and the operations in the sizes that Salt makes.

use minion::verify::Algorithm;
use minion::wire::id::MinionId;
use minion::wire::private_key::{Encryption, PrivateKey, PrivateKeyError};
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::symm::Cipher;

use super::capture::Capture;

#[test]
fn both_forms_of_a_private_key_are_read_and_show_nothing() {
    let capture = Capture::open("3008.5", "job");
    let pem = capture.text("minion_pem");
    let rsa = Rsa::private_key_from_pem(pem.as_bytes()).unwrap();
    let pkcs8 = PKey::from_rsa(rsa)
        .unwrap()
        .private_key_to_pem_pkcs8()
        .unwrap();
    for pem in [pem.as_bytes(), &pkcs8] {
        let key = PrivateKey::from_pem(pem).unwrap();
        assert_eq!(key.public().canonical(), capture.text("minion_pub"));
        let shown = format!("{key:?}");
        assert!(shown.starts_with("PrivateKey(PublicKey { hash"), "{shown}");
    }
}

#[test]
fn what_is_no_key_for_a_minion_is_refused_without_a_question() {
    let capture = Capture::open("3008.5", "job");
    let rsa = Rsa::private_key_from_pem(capture.text("minion_pem").as_bytes()).unwrap();
    let locked = rsa
        .private_key_to_pem_passphrase(Cipher::aes_128_cbc(), b"secret")
        .unwrap();
    let public = capture.text("minion_pub").as_bytes();
    let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let curve = openssl::ec::EcKey::generate(&curve)
        .unwrap()
        .private_key_to_pem()
        .unwrap();
    for pem in [
        &locked[..],
        public,
        &curve,
        b"",
        b"-----BEGIN RSA PRIVATE KEY-----",
    ] {
        assert_eq!(
            PrivateKey::from_pem(pem).err(),
            Some(PrivateKeyError::NotRsa)
        );
    }
    let short = Rsa::generate(1024).unwrap().private_key_to_pem().unwrap();
    assert_eq!(
        PrivateKey::from_pem(&short).err(),
        Some(PrivateKeyError::Weak { bits: 1024 })
    );
}

#[test]
fn the_token_is_openssl_s_x931_in_every_size() {
    // RSA_X931_PADDING, which Salt calls through libcrypto.
    let x931 = Padding::from_raw(5);
    for bits in [2048, 3072] {
        let rsa = Rsa::generate(bits).unwrap();
        let key = PrivateKey::from_pem(&rsa.private_key_to_pem().unwrap()).unwrap();
        let mut expected = vec![0; rsa.size() as usize];
        rsa.private_encrypt(b"salt", &mut expected, x931).unwrap();
        assert_eq!(key.token(), expected, "{bits}");
        let mut message = vec![0; rsa.size() as usize];
        let length = rsa.public_decrypt(key.token(), &mut message, x931).unwrap();
        assert_eq!(&message[..length], b"salt", "{bits}");
    }
}

#[test]
fn algorithms_have_salt_s_names_and_no_others() {
    for encryption in Encryption::ALL {
        assert_eq!(encryption.name().parse(), Ok(encryption));
    }
    for unknown in ["OAEP-SHA256", "oaep-sha1", ""] {
        assert!(unknown.parse::<Encryption>().is_err(), "{unknown}");
        assert!(unknown.parse::<Algorithm>().is_err(), "{unknown}");
    }
}

#[test]
fn an_id_is_one_that_a_master_makes_a_file_of() {
    let longest = "x".repeat(255);
    for id in [
        "web-1.example.org",
        "minion_ä",
        "...",
        "-",
        longest.as_str(),
    ] {
        assert_eq!(id.parse::<MinionId>().unwrap().as_str(), id);
    }
    let longer = "x".repeat(256);
    for id in [
        "",
        ".",
        "..",
        "../etc/x",
        "a/b",
        "a\\b",
        "a\0b",
        longer.as_str(),
    ] {
        assert!(id.parse::<MinionId>().is_err(), "{id:?}");
    }
}
