//! The JSON bodies of the REST API, in both directions, and the file that stands in for one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey, Signature};
use serde::de::DeserializeOwned;
use serde_json::json;
use signer::api::Presentation;
use signer::audit::Record;
use signer::authorize::{SignedStatement, Statement};
use signer::client::{AuditPage, Master, Pending, Problem, SignatureDocument, SigningKeys};
use signer::offline::RequestFile;

use crate::key::{public_key_seeds, signature_file_seeds};
use crate::service::{CERTIFICATE, audit_record_seeds, statement_seeds};

/// What a master sends for a signature is a request for exactly that key, or is refused.
pub fn presentation(input: &[u8]) {
    let Some(body) = decode::<Presentation>(input) else {
        return;
    };
    let key = PublicKey::parse(KEY.as_bytes()).expect("a key").hash();
    if let Ok(request) = body.request(key, Some(Algorithm::Sha224)) {
        assert_eq!(request.key, key);
        assert_eq!(request.time.to_string().parse(), Ok(request.time));
        if let Ok(shown) = PublicKey::parse(request.public_key.as_bytes()) {
            assert!(PublicKey::parse(shown.canonical().as_bytes()).is_ok());
        }
    }
}

/// One for each recorded key.
#[must_use]
pub fn presentation_seeds() -> Vec<Vec<u8>> {
    let bodies = public_key_seeds().into_iter().map(|key| {
        json!({
            "public_key": String::from_utf8_lossy(&key),
            "time": TIME,
            "proof": STANDARD.encode([7; 256]),
        })
    });
    bodies.map(bytes).collect()
}

/// An operator's decision is stored as it was sent; its text is a statement in one form only.
pub fn signed_statement(input: &[u8]) {
    let Some(signed) = decode::<SignedStatement>(input) else {
        return;
    };
    let stored = serde_json::to_vec(&signed).expect("it was read");
    assert_eq!(decode(&stored), Some(signed.clone()));
    if let Ok(statement) = signed.statement.parse::<Statement>() {
        assert_eq!(statement.to_string(), signed.statement);
    }
}

/// One of each verb.
#[must_use]
pub fn signed_statement_seeds() -> Vec<Vec<u8>> {
    let bodies = statement_seeds().into_iter().map(|statement| {
        json!({
            "statement": String::from_utf8_lossy(&statement),
            "signature": STANDARD.encode([48; 70]),
            "certificate": certificate(),
        })
    });
    bodies.map(bytes).collect()
}

/// A request that came as a file is read as it would be written.
pub fn request_file(input: &[u8]) {
    if let Some(file) = decode::<RequestFile>(input) {
        let again = serde_json::to_vec(&file).expect("it was read");
        assert_eq!(decode(&again), Some(file));
    }
}

/// One as `mastersign request` writes it.
#[must_use]
pub fn request_file_seeds() -> Vec<Vec<u8>> {
    let file = json!({
        "form": "mastersign-request-v1",
        "store": STORE,
        "master": "salt-1",
        "public_key": KEY,
        "algorithm": "PKCS1v15-SHA224",
        "time": TIME,
        "proof": STANDARD.encode([7; 256]),
        "client_proof": STANDARD.encode([48; 70]),
        "certificate": certificate(),
    });
    vec![bytes(file)]
}

/// A service may lie, but what it answers can be used without harm: a signature is one file, a
/// fingerprint is that of the key that was named, an audit record has one form.
pub fn service_answers(input: &[u8]) {
    if let Some(signature) = decode::<SignatureDocument>(input).and_then(|it| it.signature()) {
        let file = signature.to_file();
        assert_eq!(Signature::from_file(file.as_bytes()), Ok(signature));
    }
    if let Some(master) = decode::<Master>(input) {
        let again = serde_json::to_vec(&master).expect("it was read");
        assert_eq!(decode(&again), Some(master.clone()));
        for key in &master.keys {
            if key.fingerprints().is_ok() {
                let pem = key.public_key.as_ref().expect("it has fingerprints");
                let hash = PublicKey::parse(pem.as_bytes()).map(|key| key.hash());
                assert_eq!(hash.ok(), Some(key.sha256));
            }
        }
    }
    if let Some(page) = decode::<AuditPage>(input) {
        for sent in page.records {
            // The page keeps the bytes; what they say is judged when they are read.
            if let Ok(record) = Record::from_bytes(sent.get().as_bytes()) {
                let form = record.to_bytes().expect("it was read");
                assert_eq!(Record::from_bytes(&form).ok(), Some(record));
            }
        }
    }
    let _ = decode::<Pending>(input);
    let _ = decode::<SigningKeys>(input);
}

/// One of each.
#[must_use]
pub fn service_answers_seeds() -> Vec<Vec<u8>> {
    let key = PublicKey::parse(KEY.as_bytes()).expect("a key");
    let hash = key.hash().to_string();
    let mut records = audit_record_seeds();
    let records = records.drain(..).map(|record| {
        serde_json::from_slice::<serde_json::Value>(&record).expect("a record is JSON")
    });
    let mut all = vec![
        json!({ "store": STORE, "signing_keys": [{ "id": hash, "state": "active" }] }),
        json!({ "status": "pending", "public_key_sha256": hash }),
        json!({ "records": records.collect::<Vec<_>>(), "head": { "seq": 2, "hash": hash } }),
        json!({
            "id": "salt-1",
            "generation": 3,
            "keys": [
                { "sha256": hash, "status": "accepted", "since": TIME, "public_key": key.canonical() },
                { "sha256": hash, "status": "novel", "since": TIME },
            ],
        }),
    ];
    all.extend(signature_file_seeds().into_iter().map(|signature| {
        json!({
            "signature": String::from_utf8_lossy(&signature),
            "algorithm": "PKCS1v15-SHA1",
            "public_key_sha256": hash,
            "signing_key": hash,
            "master": "salt-1",
            "created_at": TIME,
        })
    }));
    all.into_iter().map(bytes).collect()
}

/// What a service says when it refuses is shown to a person: one line, no control characters, no
/// more than a screen of each part, whatever it sends.
pub fn problem(input: &[u8]) {
    for status in [400, 409, 503] {
        let problem = Problem::parse(status, input);
        assert_eq!(problem.status, status);
        let told = problem.to_string();
        assert!(
            !told.is_empty() && !told.chars().any(char::is_control),
            "{told:?}"
        );
        assert!(told.chars().count() < 16 * 1024);
    }
}

/// As the service writes them, and as a proxy may.
#[must_use]
pub fn problem_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        json!({
            "type": "https://mastersign.example/problems#conflict",
            "title": "Conflict",
            "status": 409,
            "detail": "the decision does not fit\u{1b}[2J",
            "request_id": STORE,
            "retriable": false,
            "generation": 3,
        }),
        json!({ "title": "x".repeat(3000) }),
        json!([1, 2]),
    ]
    .map(bytes)
    .into();
    seeds.push(b"<html>502 Bad Gateway</html>".to_vec());
    seeds
}

fn decode<T: DeserializeOwned>(input: &[u8]) -> Option<T> {
    serde_json::from_slice(input).ok()
}

#[expect(clippy::needless_pass_by_value, reason = "it ends a chain of values")]
fn bytes(value: serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn certificate() -> String {
    let body = STANDARD.encode(CERTIFICATE);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

const KEY: &str = include_str!("../../../minion/tests/vectors/fingerprints/other.pub");
const STORE: &str = "6f1c2a34-0000-4000-8000-0123456789ab";
const TIME: &str = "2026-11-22T02:25:06Z";
