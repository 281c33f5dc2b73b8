//! `/v1/signing-keys`: the keys whose signatures minions should trust. Any client may know them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use minion::verify::{Fingerprint, KeyHash, PublicKey};
use serde_json::{Value, json};

use super::extract::{Caller, Name};
use super::problem::{Kind, Problem};
use crate::signing::Service;
use crate::store::SigningKeyRecord;

/// `GET`: all of them, and the store that they sign for.
pub(super) async fn index(State(service): State<Arc<Service>>, _: Caller) -> Json<Value> {
    let store = service.store();
    let keys: Vec<Value> = {
        let state = store.state();
        state.signing_keys.values().map(|key| object(key)).collect()
    };
    Json(json!({ "store": store.uuid(), "signing_keys": keys }))
}

/// `GET`: one of them.
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    _: Caller,
    Name(kid): Name<KeyHash>,
) -> Result<Json<Value>, Problem> {
    find(&service, kid).map(|key| Json(object(&key)))
}

/// `GET`: the content of the minions' `master_sign.pub`.
pub(super) async fn public_pem(
    State(service): State<Arc<Service>>,
    _: Caller,
    Name(kid): Name<KeyHash>,
) -> Result<impl IntoResponse, Problem> {
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    find(&service, kid).map(|key| (kind, key.key.to_file()))
}

/// The three fingerprints that people compare, by the name of who shows them.
pub(super) fn fingerprints(key: &PublicKey) -> Value {
    json!({
        "salt": Fingerprint::salt(key).to_string(),
        "file": Fingerprint::file(key).to_string(),
        "spki": Fingerprint::spki(key).map(|spki| spki.to_string()).ok(),
    })
}

fn find(service: &Service, kid: KeyHash) -> Result<Arc<SigningKeyRecord>, Problem> {
    let state = service.store().state();
    let found = state.signing_keys.get(&kid).cloned();
    found.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no signing key {kid}")))
}

fn object(record: &SigningKeyRecord) -> Value {
    json!({
        "id": record.key.hash().to_string(),
        "state": record.state.name(),
        "since": record.since.to_string(),
        "bits": record.key.bits(),
        "fingerprints": fingerprints(&record.key),
    })
}
