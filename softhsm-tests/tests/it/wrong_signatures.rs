//! A token that signs wrongly: whoever asks it notices, says so, and uses nothing of it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;

use minion::verify::{Algorithm, PublicKey};
use openssl::rsa::Rsa;
use signer::authorize::Verb;
use signer::client::Put;
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::process::attempt;
use softhsm_tests::service::Site;

use crate::audit::{recorded, records};
use crate::hsm_commands::lab::{LABEL, Lab, PIN};

#[test]
fn a_token_that_signs_otherwise_than_the_file_keeps_nothing_of_it() {
    let (lab, public) = stock();
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let state = site.directory().join("state");
    DirBuilder::new().mode(0o700).create(state).unwrap();
    let config = format!("--config={}", site.config().display());
    let complaint = lab.refused(&import(&[WRONG, &config])).unwrap();
    for expected in [
        "the token does not sign as the file does; what was imported is removed",
        "signature that its own public key does not verify",
        "try \"hashed\"",
        "ask the vendor",
    ] {
        assert!(complaint.contains(expected), "{expected}: {complaint}");
    }
    assert!(!complaint.contains(PIN), "{complaint}");
    let counts = lab.counts();
    assert_eq!(
        counts.spoiled("C_Sign").unwrap(),
        1,
        "the fault was reached"
    );
    assert_eq!(
        counts.calls("C_CreateObject").unwrap(),
        2,
        "both halves were there"
    );
    assert_eq!(objects(&lab), "", "and are gone");
    assert!(!lab.path("master_sign.pub").exists());

    let service = site.serve().unwrap();
    assert!(recorded(&site, 2)[1].contains("hsm import"));
    let all = records(&site);
    assert!(all.contains(r#""outcome":"failed""#), "{all}");
    assert!(service.stop().unwrap().success());

    // Nothing is in the way of a token that is repaired.
    let made = lab.json(&import(&[])).unwrap();
    assert_eq!(made["key"]["public_key_sha256"], public.hash().to_string());
}

#[test]
fn what_cannot_be_taken_away_again_is_said() {
    let (lab, _) = stock();
    let stuck = "--env=FAULT_MODULE_REFUSED=C_DestroyObject";
    let complaint = lab.refused(&import(&[WRONG, stuck])).unwrap();
    assert!(complaint.contains("could NOT be removed"), "{complaint}");
    assert!(complaint.contains("the id 5a"), "{complaint}");
    assert!(!complaint.contains("is removed"), "{complaint}");
    assert_eq!(lab.counts().spoiled("C_Sign").unwrap(), 1);
    assert_ne!(lab.counts().calls("C_DestroyObject").unwrap(), 0);
    assert_ne!(objects(&lab), "", "it is so");
    assert!(!lab.path("master_sign.pub").exists());
}

#[test]
fn a_half_that_cannot_be_taken_away_again_is_said() {
    let (lab, _) = stock();
    // The first half is there, the second is refused, and so is what would take the first away.
    let stuck = "--env=FAULT_MODULE_REFUSED=C_CreateObject#2,C_DestroyObject";
    let complaint = lab.refused(&import(&[stuck])).unwrap();
    assert!(complaint.contains("could NOT be removed"), "{complaint}");
    assert!(complaint.contains("the id 5a"), "{complaint}");
    assert!(complaint.contains("CKR_FUNCTION_FAILED"), "{complaint}");
    assert_eq!(lab.counts().calls("C_CreateObject").unwrap(), 2);
    assert_ne!(objects(&lab), "", "it is so");

    // One that could be taken away is no word worth.
    let (lab, _) = stock();
    let half = "--env=FAULT_MODULE_REFUSED=C_CreateObject#2";
    let complaint = lab.refused(&import(&[half])).unwrap();
    assert!(complaint.contains("CKR_FUNCTION_FAILED"), "{complaint}");
    assert!(!complaint.contains("removed"), "{complaint}");
    assert_eq!(objects(&lab), "");
}

#[test]
fn a_key_that_signs_wrongly_by_either_algorithm_is_not_adopted() {
    let lab = Lab::create().unwrap();
    let made = lab.init(&[]).unwrap();
    let id = made["key"]["id"].as_str().unwrap();
    for (right, algorithm) in [(0, Algorithm::Sha1), (1, Algorithm::Sha224)] {
        let before = lab.counts().spoiled("C_Sign").unwrap();
        let wrong = format!("--env=FAULT_MODULE_SIGN_WRONG={right}");
        let adopt = lab.hsm(&[
            "adopt",
            "--token-label",
            LABEL,
            "--key-id",
            id,
            "--pin-file=pin",
            "--public-key=master_sign.pub",
            &wrong,
        ]);
        let (status, answer, complaint) = attempt(&adopt.unwrap()).unwrap();
        assert_eq!(status.code(), Some(1), "{answer}{complaint}");
        assert_eq!(answer, "", "no section for a configuration");
        let named = format!("a {} signature", algorithm.name());
        for expected in [&named, "does not verify", "try \"hashed\""] {
            assert!(complaint.contains(expected), "{expected}: {complaint}");
        }
        assert_eq!(lab.counts().spoiled("C_Sign").unwrap(), before + 1);
    }
    assert_ne!(
        objects(&lab),
        "",
        "what the vendor's tool brought stays there"
    );
}

#[test]
fn a_ceremony_whose_trial_signature_fails_ends_with_1_and_its_record_says_which() {
    let lab = Lab::create().unwrap();
    let made = lab.init(&[]).unwrap();
    let id = made["key"]["id"].as_str().unwrap();
    for (right, algorithm) in [(0, Algorithm::Sha1), (1, Algorithm::Sha224)] {
        let before = lab.counts().spoiled("C_Sign").unwrap();
        let out = format!("--out=ceremony-{right}");
        let wrong = format!("--env=FAULT_MODULE_SIGN_WRONG={right}");
        let report = [
            "report",
            "--token-label",
            LABEL,
            "--key-id",
            id,
            "--pin-file=pin",
            &out,
            &wrong,
        ];
        let complaint = lab.refused(&report).unwrap();
        for expected in ["the record is taken", algorithm.name(), "does not verify"] {
            assert!(complaint.contains(expected), "{expected}: {complaint}");
        }
        assert!(lab.counts().spoiled("C_Sign").unwrap() > before);
        let record = fs::read_to_string(lab.path(&format!("ceremony-{right}.json"))).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let outcome = &record["trial_signatures"][algorithm.name()];
        assert!(outcome.as_str().unwrap().contains("not verify"), "{record}");
        assert!(lab.path(&format!("ceremony-{right}.txt")).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_token_begins_to_sign_wrongly_serves_nothing_of_it() {
    let site = Site::create().unwrap();
    // The trial signatures are right, one for each algorithm; whatever is asked next is wrong.
    site.exchange(
        "FAULT_MODULE_COUNTS",
        "FAULT_MODULE_SIGN_WRONG = \"2\"\nFAULT_MODULE_COUNTS",
    )
    .unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    let waits = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(waits, Put::Pending(_)), "{waits:?}");
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    let accepted = operator.decide(&desk, Verb::Accept, id, Some(key)).await;
    accepted.unwrap();

    let counts = site.token().counts();
    let asked = || {
        counts
            .signatures(Algorithm::Sha1, master.public_key())
            .unwrap()
    };
    for _ in 0..2 {
        let refused = master.put(&client, Algorithm::Sha1).await.unwrap_err();
        assert!(format!("{refused:#}").contains("HSM"), "{refused:#}");
        assert_eq!(asked(), 1, "it is not asked again");
    }
    assert_eq!(
        counts.spoiled("C_Sign").unwrap(),
        1,
        "the fault was reached"
    );
    service.log().wait_for("does not verify").unwrap();
    let (_, ready) = service.ask("/readyz").unwrap();
    assert!(ready.contains("\"state\":\"quarantined\""), "{ready}");
    let (_, metrics) = service.ask("/metrics").unwrap();
    assert!(metrics.contains("quarantined"), "{metrics}");
    // Nothing of it is stored.
    assert!(service.stop().unwrap().success());
    let all = records(&site);
    assert!(all.contains("key-accepted"), "{all}");
    assert!(!all.contains("signature-published"), "{all}");
}

/// A token without a key, and a key as stock Salt makes it.
fn stock() -> (Lab, PublicKey) {
    let lab = Lab::create().unwrap();
    lab.token().unwrap();
    let rsa = Rsa::generate(2048).unwrap();
    let public = String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap();
    fs::write(
        lab.path("master_sign.pem"),
        rsa.private_key_to_pem().unwrap(),
    )
    .unwrap();
    (lab, PublicKey::decode(&public).unwrap())
}

fn import<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let line = [
        "import",
        "master_sign.pem",
        "--token-label",
        LABEL,
        "--pin-file=pin",
        "--key-id=5a",
    ];
    [&line, more].concat()
}

/// What another tool sees on the token.
fn objects(lab: &Lab) -> String {
    lab.tool(&["--login", "--pin", PIN, "--list-objects"])
        .unwrap()
}

/// No signature of the process is right.
const WRONG: &str = "--env=FAULT_MODULE_SIGN_WRONG=0";
