//! `/v1/masters`: which keys were shown, and what operators decided about them. For admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use minion::verify::KeyHash;
use serde_json::{Value, json};

use super::extract::{Admin, Body, Name};
use super::keys::fingerprints;
use super::problem::{Kind, Problem};
use crate::authorize::{MasterId, SignedStatement};
use crate::signing::Service;
use crate::store::{KeyRecord, Master};

/// `GET`: all masters.
pub(super) async fn index(State(service): State<Arc<Service>>, _: Admin) -> Json<Value> {
    let masters: Vec<Arc<Master>> = service.store().state().masters.values().cloned().collect();
    let masters: Vec<Value> = masters.iter().map(|master| object(master)).collect();
    Json(json!({ "masters": masters }))
}

/// `GET`: one master.
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    _: Admin,
    Name(id): Name<MasterId>,
) -> Result<Json<Value>, Problem> {
    let master = service.store().state().master(&id).cloned();
    let master = master
        .ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no master named {id}")))?;
    Ok(Json(object(&master)))
}

/// `POST`: takes a signed decision and answers with the master as it is after it.
pub(super) async fn decide(
    State(service): State<Arc<Service>>,
    Admin(name): Admin,
    Name(id): Name<MasterId>,
    Body(signed): Body<SignedStatement>,
) -> Result<Json<Value>, Problem> {
    let master = service.decide(&name, &id, &signed).await?;
    Ok(Json(object(&master)))
}

fn object(master: &Master) -> Value {
    let keys: Vec<Value> = master
        .keys
        .iter()
        .map(|(hash, key)| key_object(hash, key))
        .collect();
    json!({
        "id": master.id.as_str(),
        "generation": master.generation,
        "barred": master.barred,
        "keys": keys,
    })
}

fn key_object(hash: &KeyHash, record: &KeyRecord) -> Value {
    let key = record.key.as_ref();
    json!({
        "sha256": hash.to_string(),
        "status": record.status.name(),
        "since": record.since.to_string(),
        "fingerprints": key.map(|key| fingerprints(key)),
        "public_key": key.map(|key| key.canonical()),
    })
}
