//! `tests/vectors/cavp`: five sizes of keys, exponents of 3, 17 and 65537, and seven ways to be
//! wrong.

use super::super::{Algorithm, PublicKey, Rejected, Signature};

#[test]
fn no_signature_of_nist_is_judged_otherwise() {
    let text = include_str!("../../../tests/vectors/cavp/SigVer15_186-3.rsp");
    assert_eq!(judged(text), (30, 150, 36));
}

/// What a right implementation signs: every one of these is unconditionally right.
#[test]
fn every_signature_that_nist_generated_verifies() {
    let text = include_str!("../../../tests/vectors/cavp/SigGen15_186-2.rsp");
    assert_eq!(judged(text), (100, 0, 60));
}

/// Encoded messages whose hash was moved to the left, with something behind it, or whose padding
/// has no end: what implementations took that parse instead of comparing.
#[test]
fn no_encoded_message_of_nist_is_parsed_instead_of_compared() {
    let text = include_str!("../../../tests/vectors/cavp/SigVer15EMTest.txt");
    assert_eq!(judged(text), (0, 60, 12));
}

/// How many signatures verify and how many do not, by NIST's word and by ours; and how many of all
/// are by keys that a minion would use.
fn judged(text: &str) -> (usize, usize, usize) {
    let cases = cases(text);
    for case in &cases {
        let verdict = case.verdict(&case.message);
        assert_eq!(verdict.is_ok(), case.verifies, "{}", case.result);
        let other = [&case.message[..], b"."].concat();
        assert!(case.verdict(&other).is_err(), "of another message");
    }
    let count = |counts: fn(&&Case) -> bool| cases.iter().filter(counts).count();
    (
        count(|case| case.verifies),
        count(|case| !case.verifies),
        count(|case| case.key.is_acceptable()),
    )
}

struct Case {
    key: PublicKey,
    algorithm: Algorithm,
    message: Vec<u8>,
    signature: Signature,
    verifies: bool,
    result: String,
}

impl Case {
    fn verdict(&self, message: &[u8]) -> Result<(), Rejected> {
        self.key
            .verify_message(self.algorithm, message, &self.signature)
    }
}

/// The cases of a file. A modulus and an exponent count for all that follow; a signature without a
/// `Result` is a right one.
fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::<Case>::new();
    let (mut n, mut e, mut message) = (vec![], vec![], vec![]);
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
            "SHAAlg" => {
                algorithm = match value {
                    "SHA1" => Algorithm::Sha1,
                    "SHA224" => Algorithm::Sha224,
                    other => panic!("{other}"),
                }
            }
            "S" => {
                let made = PublicKey::from_components(&n, &e).unwrap();
                cases.push(Case {
                    // As a minion gets it: as a text.
                    key: PublicKey::parse(made.canonical().as_bytes()).unwrap(),
                    algorithm,
                    message: message.clone(),
                    signature: Signature::new(bytes()),
                    verifies: true,
                    result: String::new(),
                });
            }
            "Result" => {
                let last = cases.last_mut().unwrap();
                last.verifies = value.starts_with('P');
                value.clone_into(&mut last.result);
            }
            _ => {}
        }
    }
    cases
}
