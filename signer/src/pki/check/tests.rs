//! Certificates with one thing wrong each.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;

fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn report(change: impl FnOnce(&mut CertificateParams)) -> Report {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Report::of_pem(certificate.pem().as_bytes(), None, now())
}

fn uris(uris: &[&str]) -> Vec<SanType> {
    let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
    uris.iter().map(uri).collect()
}

fn only_problem(report: &Report, words: &str) {
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(report.problems[0].contains(words), "{report:?}");
}

#[test]
fn one_identity_for_clients_is_good() {
    let report = report(|params| {
        params.subject_alt_names = uris(&["mastersign:admin:alice"]);
    });
    assert!(report.is_good(), "{report:?}");
    let identity = report.certificates[0].identity.as_deref();
    assert_eq!(identity, Some("mastersign:admin:alice"));
}

#[test]
fn no_identity_two_and_a_wrong_one_are_told_apart() {
    let check = |names: &[&str]| {
        let names = uris(names);
        report(|params| params.subject_alt_names = names)
    };
    only_problem(&check(&[]), "names nobody");
    only_problem(&check(&["mastersign:root:eve"]), "no identity");
    only_problem(
        &check(&["mastersign:admin:alice", "mastersign:master:m-1"]),
        "more than one URI",
    );
    only_problem(
        &check(&["mastersign:admin:alice", "https://example.org"]),
        "more than one URI",
    );
}

#[test]
fn dates_are_compared_with_the_clock() {
    let names = || uris(&["mastersign:master:m-1"]);
    let ended = report(|params| {
        params.subject_alt_names = names();
        params.not_after = date_time_ymd(2026, 11, 21);
    });
    only_problem(&ended, "ended at 2026-11-21");
    let future = report(|params| {
        params.subject_alt_names = names();
        params.not_before = date_time_ymd(2026, 11, 23);
    });
    only_problem(&future, "not valid before 2026-11-23");
    let soon = report(|params| {
        params.subject_alt_names = names();
        params.not_after = date_time_ymd(2026, 12, 1);
    });
    assert!(soon.is_good());
    assert!(
        soon.warnings
            .iter()
            .any(|text| text.contains("ends at 2026-12-01"))
    );
}

#[test]
fn a_purpose_is_needed_and_a_server_needs_a_host() {
    let neither = report(|params| {
        params.extended_key_usages = Vec::new();
        params.subject_alt_names = uris(&["mastersign:master:m-1"]);
    });
    only_problem(&neither, "neither for clients");
    let server = report(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    only_problem(&server, "names no host");
}

#[test]
fn what_is_no_certificate_is_named() {
    let of = |text: &str| Report::of_pem(text.as_bytes(), None, now());
    only_problem(&of("hello"), "holds no certificate");
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert!(of(&key).problems[0].contains("private key"));
    let key = PKey::private_key_from_pem(key.as_bytes()).unwrap();
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let sealed = key
        .private_key_to_pem_pkcs8_passphrase(cipher, b"x")
        .unwrap();
    let sealed = String::from_utf8(sealed).unwrap();
    assert!(of(&sealed).problems[0].contains("private key"));
    let mut report = Report::default();
    report.check_key(b"", sealed.as_bytes());
    only_problem(&report, "no unencrypted private key");
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    only_problem(&of(damaged), "damaged");
}

#[test]
fn an_authority_is_judged_by_the_one_that_is_given_like_everybody_else() {
    let authority = |name: &str, issuer: Option<&Issuer<'_, KeyPair>>| {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2028, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        let pem = certificate.unwrap().pem();
        (pem.clone(), Issuer::from_ca_cert_pem(&pem, key).unwrap())
    };
    let (ours, issuer) = authority("ours", None);
    let (below, _) = authority("below", Some(&issuer));
    let (namesake, _) = authority("ours", None);
    let (other, _) = authority("other", None);
    let check = |pem: &str, by: &str| Report::of_pem(pem.as_bytes(), Some(by.as_bytes()), now());
    for (pem, by) in [(&ours, &ours), (&below, &ours), (&below, &below)] {
        let report = check(pem, by);
        assert!(report.is_good(), "{report:?}");
    }
    for (pem, by) in [(&other, &ours), (&namesake, &ours), (&ours, &below)] {
        only_problem(&check(pem, by), "does not vouch");
    }
    only_problem(
        &check(&[below.as_str(), &other].concat(), &ours),
        "does not vouch",
    );
    assert!(check(&[below, ours.clone()].concat(), &ours).is_good());
}

#[test]
fn a_key_of_another_certificate_is_noticed() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .pem();
    let mut report = Report::default();
    report.check_key(certificate.as_bytes(), key.serialize_pem().as_bytes());
    assert!(report.is_good());
    let other = KeyPair::generate().unwrap().serialize_pem();
    report.check_key(certificate.as_bytes(), other.as_bytes());
    only_problem(&report, "another certificate");
}

#[test]
fn foreign_text_cannot_drive_the_terminal() {
    assert_eq!(printable("a\u{1b}[2Jb\n"), "a?[2Jb?");
}
