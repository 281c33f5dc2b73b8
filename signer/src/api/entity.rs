//! Answers that a caller may have already: each with a tag of its content, and nothing but the tag
//! if that is the one the caller has (RFC 9110, section 13.1.2).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Tags the successful answers to `GET` that have no tag of their own.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let known = request.headers().get_all(header::IF_NONE_MATCH);
    let known: Vec<_> = known.iter().cloned().collect();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK || response.headers().contains_key(header::ETAG) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = match axum::body::to_bytes(body, LONGEST).await {
        Ok(body) => body,
        Err(error) => return Problem::internal(error).into_response(),
    };
    let etag = format!("\"{}\"", hex::encode(Sha256::digest(&body)));
    let etag = match HeaderValue::try_from(etag) {
        Ok(etag) => etag,
        Err(error) => return Problem::internal(error).into_response(),
    };
    parts.headers.insert(header::ETAG, etag.clone());
    let ask_again = HeaderValue::from_static("private, no-cache");
    parts.headers.insert(header::CACHE_CONTROL, ask_again);
    if is_among(&known, &etag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return (parts, ()).into_response();
    }
    Response::from_parts(parts, body.into())
}

/// Whether the caller has an answer with that tag.
pub(super) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    is_among(headers.get_all(header::IF_NONE_MATCH), etag)
}

fn is_among<'a>(known: impl IntoIterator<Item = &'a HeaderValue>, etag: &HeaderValue) -> bool {
    known
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

/// What a handler has built in memory; ten thousand masters are some 20 MiB.
const LONGEST: usize = usize::MAX;
