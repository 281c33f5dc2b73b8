//! The service's API: every path on one page.
//!
//! Who is calling comes from the connection, and the outermost layer refuses a request without it,
//! so a new route cannot forget to ask. Extractors find, decide and refuse; what is left of a
//! handler is one sentence.

mod audit;
mod entity;
mod extract;
pub mod health;
mod keys;
mod masters;
pub mod openapi;
pub mod problem;
mod refusal;
mod signatures;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use crate::signing::Service;
use crate::tls::Lapsed;
use crate::tls::peer::Peer;
use problem::{Kind, Problem};

pub use signatures::Presentation;

/// Builds the router; the server puts a [`Peer`] into the extensions of every request.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/audit", get(audit::index))
        .route("/v1/masters", get(masters::index))
        .route("/v1/masters/{id}", get(masters::show))
        .route("/v1/masters/{id}/statements", post(masters::decide))
        .route(
            "/v1/signatures/{sha256}",
            put(signatures::update).get(signatures::show),
        )
        .route("/v1/signing-keys", get(keys::index))
        .route("/v1/signing-keys/{kid}", get(keys::show))
        .route("/v1/signing-keys/{kid}/public.pem", get(keys::public_pem))
        .route_layer(from_fn(entity::tagged))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn(identified))
        .with_state(service)
}

async fn identified(request: Request, next: Next) -> Response {
    if request.extensions().get::<Peer>().is_none() {
        let detail = "the connection has no client certificate";
        return Problem::new(Kind::Forbidden, detail).into_response();
    }
    if let Some(lapsed) = request.extensions().get::<Lapsed>() {
        let problem = Problem::new(
            Kind::CertificateRefused,
            format!("{lapsed}; an operator issues another one, and this connection ends"),
        );
        return problem.into_response();
    }
    next.run(request).await
}

async fn no_such_path() -> Problem {
    Problem::new(Kind::NotFound, "the API has no such path")
}

async fn no_such_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "the path exists, but not with this method",
    )
}

/// The largest body is a statement with its certificate or an RSA-4096 key with its proof; both
/// take less than 4 KiB.
const BODY: usize = 16 * 1024;

#[cfg(test)]
mod tests;
