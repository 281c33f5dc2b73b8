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

/// `GET`: a page of the masters in the order of their ids.
pub(super) async fn index(
    State(service): State<Arc<Service>>,
    _: Admin,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    if wanted.limit == Some(0) {
        return Err(Problem::new(Kind::Unprocessable, "limit: at least 1"));
    }
    let limit = wanted.limit.unwrap_or(LONGEST).min(LONGEST);
    let start = match &wanted.after {
        Some(after) => Bound::Excluded(after),
        None => Bound::Unbounded,
    };
    let (masters, is_cut) = {
        let state = service.store().state();
        let behind = state.masters.range((start, Bound::Unbounded));
        page(behind.map(|(_, master)| master), limit)
    };
    let objects: Vec<Value> = masters.iter().map(|master| object(master)).collect();
    let mut response = Json(json!({ "masters": objects })).into_response();
    if let Some(last) = masters.last().filter(|_| is_cut) {
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

/// At most `limit` of the masters and one at least, and whether there are more of them.
fn page<'a>(
    behind: impl Iterator<Item = &'a Arc<Master>>,
    limit: usize,
) -> (Vec<Arc<Master>>, bool) {
    let (mut masters, mut keys) = (Vec::new(), 0_usize);
    for master in behind {
        keys = keys.saturating_add(master.keys.len());
        if masters.len() == limit || (keys > KEYS && !masters.is_empty()) {
            return (masters, true);
        }
        masters.push(Arc::clone(master));
    }
    (masters, false)
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

/// Of the masters of one page.
const LONGEST: usize = 1000;
/// Of the keys of one page, each some two KiB of text; the answer is built in memory, and clients
/// read four MiB. One master's keys are never parted.
const KEYS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::Status;

    fn master(number: usize, keys: usize) -> Arc<Master> {
        let mut master = Master::new(format!("m{number}").parse().unwrap());
        for key in 0..keys {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&key.to_be_bytes());
            let record = KeyRecord {
                key: None,
                status: Status::Revoked,
                since: Timestamp::from_unix(0).unwrap(),
                decision: None,
            };
            master.keys.insert(KeyHash::new(hash), record);
        }
        Arc::new(master)
    }

    #[test]
    fn a_page_ends_where_it_is_full_of_masters_or_of_keys() {
        let ones: Vec<_> = (0..3).map(|number| master(number, 1)).collect();
        for (limit, shown, is_cut) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false)] {
            let (masters, cut) = page(ones.iter(), limit);
            assert_eq!((masters.len(), cut), (shown, is_cut), "{limit}");
        }
        let many = [KEYS - 1, 1, 1].map(|keys| master(0, keys));
        let (masters, is_cut) = page(many.iter(), LONGEST);
        assert_eq!((masters.len(), is_cut), (2, true));
        let more = [KEYS + 1, 1].map(|keys| master(0, keys));
        let (masters, is_cut) = page(more.iter(), LONGEST);
        assert_eq!((masters.len(), is_cut), (1, true));
    }
}
