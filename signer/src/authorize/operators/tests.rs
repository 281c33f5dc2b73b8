//! Whose statements are believed, and which are not.

use super::*;
use crate::authorize::testing::{Issued, MasterKey, TestCa};

fn accept(time: &str) -> Statement {
    Statement {
        verb: Verb::Accept,
        store: Uuid::from_u128(7),
        master: "m1".parse().unwrap(),
        key: Some(KeyHash::new([9; 32])),
        generation: 1,
        time: time.parse().unwrap(),
    }
}

const DURING: &str = "2026-06-01T00:00:00Z";

fn refused(ca: &OperatorsCa, issued: &Issued, time: &str) -> String {
    match ca.check(&issued.sign(&accept(time))) {
        Err(StatementError::Certificate { reason }) => reason,
        other => panic!("not refused for its certificate: {other:?}"),
    }
}

#[test]
fn what_an_admin_signed_is_believed() {
    let ca = TestCa::new();
    let signed = ca.admin("ada").sign(&accept(DURING));
    let checked = ca.operators().check(&signed).unwrap();
    assert_eq!(checked.admin(), "ada");
    assert_eq!(checked.statement(), &accept(DURING));
    assert_eq!(checked.signed(), &signed);
}

#[test]
fn another_ca_of_the_same_name_vouches_for_nobody() {
    let (ours, other) = (TestCa::new(), TestCa::new());
    let reason = refused(&ours.operators(), &other.admin("ada"), DURING);
    assert!(!reason.is_empty());
}

#[test]
fn a_certificate_counts_at_the_statements_time_only() {
    let ca = TestCa::new();
    let operators = ca.operators();
    let ada = ca.admin("ada");
    operators.check(&ada.sign(&accept(DURING))).unwrap();
    assert!(refused(&operators, &ada, "2027-01-02T00:00:00Z").contains("expired"));
    assert!(refused(&operators, &ada, "2025-12-31T00:00:00Z").contains("not valid yet"));
    operators
        .check(&ada.sign(&accept("2026-12-31T23:59:59Z")))
        .unwrap();
}

#[test]
fn only_an_admins_certificate_for_clients_decides() {
    let ca = TestCa::new();
    let operators = ca.operators();
    for uris in [
        &["mastersign:master:m1"][..],
        &["mastersign:auditor:ada"],
        &["mastersign:admin:ada", "mastersign:auditor:ada"],
        &["mastersign:admin:ada", "MASTERSIGN:admin:bob"],
        &["MASTERSIGN:admin:ada"],
        &["https://example.org/"],
        &["https://example.org/", "mastersign:admin:ada"],
        &[],
    ] {
        refused(&operators, &ca.issue(uris), DURING);
    }
    let admin = &["mastersign:admin:ada"];
    let server = ca.issue_with(admin, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    refused(&operators, &server, DURING);
    let unspecific = ca.issue_with(admin, |params| params.extended_key_usages.clear());
    refused(&operators, &unspecific, DURING);
}

#[test]
fn the_common_name_says_nothing() {
    let ca = TestCa::new();
    let named = ca.issue_with(&[], |params| {
        let name = "mastersign:admin:ada";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
    });
    assert!(refused(&ca.operators(), &named, DURING).contains("common name"));
}

#[test]
fn no_bit_of_the_text_or_the_signature_may_change() {
    let ca = TestCa::new();
    let operators = ca.operators();
    let signed = ca.admin("ada").sign(&accept(DURING));
    let mut other_id = signed.clone();
    other_id.statement = other_id.statement.replace("m1", "m2");
    assert_eq!(operators.check(&other_id), Err(StatementError::Signature));
    let mut open_end = signed.clone();
    open_end.statement.pop();
    assert_eq!(operators.check(&open_end), Err(StatementError::Malformed));
    let raw = STANDARD.decode(&signed.signature).unwrap();
    for bit in 0..raw.len() * 8 {
        let mut flipped = raw.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let forged = SignedStatement {
            signature: STANDARD.encode(flipped),
            ..signed.clone()
        };
        assert_eq!(operators.check(&forged), Err(StatementError::Signature));
    }
}

#[test]
fn what_was_found_good_once_vouches_for_its_own_bytes_only() {
    let ca = TestCa::new();
    let operators = ca.operators();
    let signed = ca.admin("ada").sign(&accept(DURING));
    let first = operators.check(&signed).unwrap();
    assert_eq!(operators.check(&signed).unwrap(), first);
    let mut other_id = signed.clone();
    other_id.statement = other_id.statement.replace("m1", "m2");
    let other_admin = SignedStatement {
        certificate: ca.admin("bob").certificate,
        ..signed.clone()
    };
    let other_signature = SignedStatement {
        signature: ca.admin("bob").sign(&accept(DURING)).signature,
        ..signed.clone()
    };
    for forged in [other_id, other_admin, other_signature] {
        assert_eq!(operators.check(&forged), Err(StatementError::Signature));
    }
    // The memory is one CA's, not everybody's.
    assert!(TestCa::new().operators().check(&signed).is_err());
    assert_eq!(operators.check(&signed).unwrap(), first);
}

#[test]
fn a_statement_does_not_count_with_another_admins_certificate() {
    let ca = TestCa::new();
    let forged = SignedStatement {
        certificate: ca.admin("bob").certificate,
        ..ca.admin("ada").sign(&accept(DURING))
    };
    assert_eq!(
        ca.operators().check(&forged),
        Err(StatementError::Signature)
    );
}

#[test]
fn an_acceptance_is_for_one_key_in_one_store() {
    let ca = TestCa::new();
    let operators = ca.operators();
    let ada = ca.admin("ada");
    let (store, key) = (Uuid::from_u128(7), KeyHash::new([9; 32]));
    let signed = ada.sign(&accept(DURING));
    operators.check_acceptance(&signed, store, key).unwrap();
    assert_eq!(
        operators.check_acceptance(&signed, Uuid::from_u128(8), key),
        Err(StatementError::OtherStore { named: store }),
    );
    assert_eq!(
        operators.check_acceptance(&signed, store, KeyHash::new([8; 32])),
        Err(StatementError::OtherKey),
    );
    for (verb, key) in [
        (Verb::Forget, Some(key)),
        (Verb::Reinstate, Some(key)),
        (Verb::Reject, Some(key)),
        (Verb::Rename, Some(key)),
        (Verb::Revoke, Some(key)),
        (Verb::Revoke, None),
    ] {
        let signed = ada.sign(&Statement {
            verb,
            key,
            ..accept(DURING)
        });
        assert_eq!(
            operators.check_acceptance(&signed, store, KeyHash::new([9; 32])),
            Err(StatementError::NotAnAcceptance),
        );
    }
}

#[test]
fn a_flood_of_certificates_does_not_grow_the_memory() {
    let ca = TestCa::new();
    let operators = ca.operators();
    for number in 0..=KNOWN_CERTIFICATES {
        let admin = ca.admin(&format!("a{number}"));
        operators.check(&admin.sign(&accept(DURING))).unwrap();
    }
    assert!(operators.known().len() <= KNOWN_CERTIFICATES);
}

#[test]
fn an_admin_signs_with_the_certified_p256_key_only() {
    use crate::authorize::SignError;

    let ca = TestCa::new();
    let (ada, bob) = (ca.admin("ada"), ca.admin("bob"));
    let statement = accept(DURING);
    let other = SignedStatement::sign(&statement, &ada.key, &bob.certificate);
    assert!(matches!(other, Err(SignError::OtherKey)));
    let rsa = MasterKey::generate().private;
    let wrong_kind = SignedStatement::sign(&statement, &rsa, &ada.certificate);
    assert!(matches!(wrong_kind, Err(SignError::NotP256)));
}

#[test]
fn a_ca_file_without_a_certificate_is_refused() {
    assert!(matches!(
        OperatorsCa::from_pem(b""),
        Err(OperatorsCaError::Empty)
    ));
    let damaged = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(OperatorsCa::from_pem(damaged.as_bytes()).is_err());
}
