//! What the bodies look like.

use minion::verify::Algorithm;
use serde_json::{Value, json};

use super::reference;
use crate::api::problem::{Kind, NAMESPACE};

pub(super) fn hash() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

pub(super) fn master_id() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,253}$" })
}

pub(super) fn algorithm() -> Value {
    json!({ "enum": Algorithm::ALL.map(Algorithm::name) })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time", "description": "UTC, whole seconds, Z" })
}

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

/// An object; every member is required unless it stands in `optional`.
fn object(members: &Value, optional: &[&str]) -> Value {
    let names = members
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys());
    let required: Vec<&String> = names
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    json!({ "type": "object", "required": required, "properties": members })
}

/// Every schema by its name.
pub(super) fn all() -> Value {
    let groups = [
        audit(),
        masters(),
        plain(),
        problem(),
        requests(),
        signatures(),
        signing_keys(),
    ];
    groups
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

type Group = Vec<(&'static str, Value)>;

fn hash_or_none() -> Value {
    json!({ "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" })
}

fn audit() -> Group {
    let page = json!({ "records": list("AuditRecord"), "head": reference("AuditHead") });
    let actor = json!({ "identity": text(), "certificate": hash_or_none() });
    let record = json!({
        "v": count(),
        "seq": count(),
        "prev": hash(),
        "time": time(),
        "actor": object(&actor, &[]),
        "action": text(),
        "subject": text(),
        "detail": { "type": "object", "additionalProperties": text() },
        "writes": { "type": "object", "additionalProperties": hash_or_none() },
    });
    let head = json!({ "seq": count(), "hash": hash() });
    vec![
        ("AuditHead", object(&head, &[])),
        ("AuditPage", object(&page, &[])),
        ("AuditRecord", object(&record, &[])),
    ]
}

fn masters() -> Group {
    let master = json!({
        "id": master_id(),
        "generation": count(),
        "barred": { "type": "boolean" },
        "keys": list("MasterKey"),
    });
    let statuses = [
        "accepted",
        "denied",
        "pending",
        "quarantined",
        "rejected",
        "revoked",
    ];
    let key = json!({
        "sha256": hash(),
        "status": { "enum": statuses },
        "since": time(),
        "fingerprints": { "oneOf": [reference("Fingerprints"), { "type": "null" }] },
        "public_key": { "type": ["string", "null"] },
    });
    let all = json!({ "masters": list("Master") });
    vec![
        ("Master", object(&master, &[])),
        ("MasterKey", object(&key, &[])),
        ("Masters", object(&all, &[])),
    ]
}

fn plain() -> Group {
    let spki = json!({ "type": ["string", "null"] });
    let fingerprints = json!({ "salt": text(), "file": text(), "spki": spki });
    vec![
        ("Fingerprints", object(&fingerprints, &[])),
        ("Pem", text()),
        ("SignatureFile", text()),
    ]
}

fn problem() -> Group {
    let types = Kind::ALL.map(|kind| format!("{NAMESPACE}{}", kind.code()));
    let problem = json!({
        "type": { "enum": types },
        "title": text(),
        "status": count(),
        "detail": text(),
        "retriable": { "type": "boolean" },
        "request_id": { "type": "string", "format": "uuid" },
        "reason": text(),
        "expected_text": text(),
        "service_time": time(),
        "skew_seconds": count(),
        "generation": count(),
    });
    let own = [
        "request_id",
        "reason",
        "expected_text",
        "service_time",
        "skew_seconds",
        "generation",
    ];
    vec![("Problem", object(&problem, &own))]
}

fn requests() -> Group {
    let presentation = json!({
        "public_key": { "type": "string", "description": "canonical PEM" },
        "time": time(),
        "proof": { "type": "string", "contentEncoding": "base64" },
    });
    let statement = json!({ "statement": text(), "signature": text(), "certificate": text() });
    vec![
        ("Presentation", object(&presentation, &[])),
        ("SignedStatement", object(&statement, &[])),
    ]
}

fn signatures() -> Group {
    let pending = json!({
        "status": { "const": "pending" },
        "public_key_sha256": hash(),
        "fingerprints": reference("Fingerprints"),
        "detail": text(),
    });
    let signature = json!({
        "signature": { "type": "string", "contentEncoding": "base64" },
        "algorithm": algorithm(),
        "public_key_sha256": hash(),
        "signing_key": hash(),
        "master": master_id(),
        "created_at": time(),
        "audit_seq": count(),
    });
    vec![
        ("Pending", object(&pending, &[])),
        ("Signature", object(&signature, &[])),
    ]
}

fn signing_keys() -> Group {
    let key = json!({
        "id": hash(),
        "state": text(),
        "since": time(),
        "bits": count(),
        "fingerprints": reference("Fingerprints"),
    });
    let store = json!({ "type": "string", "format": "uuid" });
    let all = json!({ "store": store, "signing_keys": list("SigningKey") });
    vec![
        ("SigningKey", object(&key, &[])),
        ("SigningKeys", object(&all, &[])),
    ]
}
