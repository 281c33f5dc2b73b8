//! `/v1/masters`: which keys were shown, and what operators decided about them. For admins.

use std::ops::Bound;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use minion::verify::KeyHash;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Admin, Body, Name, Parameters};
use super::keys::fingerprints;
use super::problem::{Kind, Problem};
use crate::authorize::{MasterId, SignedStatement};
use crate::signing::Service;
use crate::store::{KeyRecord, Master};

/// `GET`: all masters in the order of their ids, or a page of them.
pub(super) async fn index(
    State(service): State<Arc<Service>>,
    _: Admin,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    if wanted.limit == Some(0) {
        return Err(Problem::new(Kind::Unprocessable, "limit: at least 1"));
    }
    let limit = wanted.limit.unwrap_or(usize::MAX);
    let start = match &wanted.after {
        Some(after) => Bound::Excluded(after),
        None => Bound::Unbounded,
    };
    let masters: Vec<Arc<Master>> = {
        let state = service.store().state();
        let behind = state.masters.range((start, Bound::Unbounded));
        behind
            .take(limit)
            .map(|(_, master)| Arc::clone(master))
            .collect()
    };
    let objects: Vec<Value> = masters.iter().map(|master| object(master)).collect();
    let mut response = Json(json!({ "masters": objects })).into_response();
    if let Some(last) = masters.last().filter(|_| masters.len() == limit) {
        let next = format!(
            "</v1/masters?after={}&limit={limit}>; rel=\"next\"",
            last.id
        );
        if let Ok(next) = next.parse() {
            response.headers_mut().insert(header::LINK, next);
        }
    }
    Ok(response)
}

/// Which part of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<MasterId>,
    limit: Option<usize>,
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
