//! `/v1/signatures`: a signature is named by the hash of the key that it is over.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, KeyHash, PublicKey};
use serde::Deserialize;
use serde_json::json;

use super::entity::is_known;
use super::extract::{Body, Caller, Name, Parameters};
use super::keys;
use super::problem::{Kind, Problem};
use crate::clock::Timestamp;
use crate::signing::{Answer, Lookup, Ready, Request, Service};
use crate::tls::peer::Peer;

/// `PUT`: has the caller's key signed, if an operator accepted it.
pub(super) async fn update(
    State(service): State<Arc<Service>>,
    Caller(peer): Caller,
    Name(key): Name<KeyHash>,
    Parameters(wanted): Parameters<Wanted>,
    Body(body): Body<Presentation>,
) -> Result<Response, Problem> {
    let request = body.request(key, wanted.algorithm()?)?;
    Ok(match service.put(&peer, &request).await? {
        Answer::Pending(key) => pending(&key),
        Answer::Signed { new: true, ready } => {
            (StatusCode::CREATED, document(&ready)).into_response()
        }
        Answer::Signed { new: false, ready } => document(&ready).into_response(),
    })
}

/// `GET` and `HEAD`: reads a signature that was made before, as the very file that salt-master
/// serves.
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Caller(peer): Caller,
    Name(key): Name<KeyHash>,
    Parameters(wanted): Parameters<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ready = service.get(&peer, &wanted.lookup(key)?).await?;
    Ok(shown(&ready, &headers))
}

/// `GET` of a signature that is in memory.
pub(super) fn read_at_once(
    service: &Service,
    peer: &Peer,
    name: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response> {
    // Salt's names of the algorithms are spelled the same in a query.
    let algorithm = match uri.query() {
        Some(query) => Some(query.strip_prefix("algorithm=")?.parse().ok()?),
        None => None,
    };
    let lookup = Lookup {
        key: name.parse().ok()?,
        algorithm,
        signing_key: None,
    };
    let ready = service.get_at_once(peer, &lookup)?;
    Some(shown(&ready, headers))
}

fn shown(ready: &Ready, headers: &HeaderMap) -> Response {
    if is_known(headers, ready.etag()) {
        return (StatusCode::NOT_MODIFIED, tags(ready)).into_response();
    }
    if wants_json(headers) {
        return document(ready).into_response();
    }
    let mut response = Response::new(ready.file().into());
    let headers = response.headers_mut();
    // These, and the request's id.
    headers.reserve(5);
    for (name, value) in tags(ready) {
        headers.insert(name, value);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}

/// The parameters of both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    algorithm: Option<String>,
    key: Option<String>,
}

impl Wanted {
    fn lookup(&self, key: KeyHash) -> Result<Lookup, Problem> {
        Ok(Lookup {
            key,
            algorithm: self.algorithm()?,
            signing_key: self.signing_key()?,
        })
    }

    fn algorithm(&self) -> Result<Option<Algorithm>, Problem> {
        let parsed = self.algorithm.as_deref().map(str::parse).transpose();
        parsed.map_err(|error| Problem::new(Kind::Unprocessable, format!("algorithm: {error}")))
    }

    fn signing_key(&self) -> Result<Option<KeyHash>, Problem> {
        let parsed = self.key.as_deref().map(str::parse).transpose();
        parsed.map_err(|error| Problem::new(Kind::Unprocessable, format!("key: {error}")))
    }
}

/// The body of a `PUT`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presentation {
    public_key: String,
    time: Timestamp,
    proof: String,
}

impl Presentation {
    /// What is asked for with it.
    ///
    /// # Errors
    ///
    /// Fails if the proof is not base64.
    pub fn request(self, key: KeyHash, algorithm: Option<Algorithm>) -> Result<Request, Problem> {
        Ok(Request {
            key,
            algorithm,
            public_key: self.public_key,
            time: self.time,
            proof: STANDARD.decode(self.proof).map_err(|_| not_base64())?,
        })
    }
}

fn not_base64() -> Problem {
    Problem::new(
        Kind::Unprocessable,
        "proof: not standard base64 on one line; `base64 -w0` writes it",
    )
}

fn pending(key: &PublicKey) -> Response {
    let hash = key.hash().to_string();
    let body = json!({
        "status": "pending",
        "public_key_sha256": hash,
        "fingerprints": keys::fingerprints(key),
        "detail": "an operator has to accept this key: compare the fingerprint, then run \
         `mastersign masters accept`",
    });
    let retry = [(header::RETRY_AFTER, "30")];
    (StatusCode::ACCEPTED, retry, axum::Json(body)).into_response()
}

fn document(ready: &Ready) -> impl IntoResponse + use<> {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (tags(ready), kind, ready.document())
}

/// A signature never changes, but the right to read it does: a cache has to ask each time.
fn tags(ready: &Ready) -> [(header::HeaderName, HeaderValue); 3] {
    [
        (header::ETAG, ready.etag().clone()),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        ),
        (header::VARY, HeaderValue::from_static("Accept")),
    ]
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().map(str::trim) == Some("application/json"))
}

const TEXT: &str = "text/plain; charset=utf-8";
