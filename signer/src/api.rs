//! The service's API: every path on one page.
//!
//! Who is calling comes from the connection, and a request without it gets to no route,
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
pub mod route;
mod signatures;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Extensions, HeaderMap, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tower::ServiceExt;

use crate::signing::Service;
use crate::tls::Lapsed;
use crate::tls::peer::Peer;
use problem::{Kind, Problem};

pub use signatures::Presentation;

/// The API of one service.
#[derive(Clone, Debug)]
pub struct Api {
    service: Arc<Service>,
    router: Router,
}

impl Api {
    /// Builds the routes.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        let router = Router::new()
            .route(route::AUDIT, get(audit::index))
            .route(route::MASTERS, get(masters::index))
            .route(route::MASTER, get(masters::show))
            .route(route::STATEMENTS, post(masters::decide))
            .route(route::SIGNING_KEYS, get(keys::index))
            .route(route::SIGNING_KEY, get(keys::show))
            .route(route::PUBLIC_PEM, get(keys::public_pem))
            .route_layer(from_fn(entity::tagged))
            // Behind the layer: signatures have tags of their own.
            .route(
                route::SIGNATURE,
                put(signatures::update).get(signatures::show),
            )
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(Arc::clone(&service));
        Self { service, router }
    }

    /// The answer to what masters ask for again and again, if it is there: a signature of the
    /// caller's own that was made and read before. None for every other request, and for every
    /// refusal.
    pub fn answer_at_once(&self, peer: &Peer, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let name = route::signature(uri.path())?;
        signatures::read_at_once(&self.service, peer, name, uri, headers)
    }

    /// Answers a request; the server has put a [`Peer`] into its extensions.
    pub async fn answer(&self, request: Request) -> Response {
        if let Err(problem) = identified(request.extensions()) {
            return problem.into_response();
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn identified(extensions: &Extensions) -> Result<(), Problem> {
    if extensions.get::<Arc<Peer>>().is_none() {
        let detail = "the connection has no client certificate";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    lapsed(extensions).map_or(Ok(()), Err)
}

/// The refusal of a client that is let in no more; the server asks before it does anything for it.
pub(crate) fn lapsed(extensions: &Extensions) -> Option<Problem> {
    let lapsed = extensions.get::<Lapsed>()?;
    Some(Problem::new(
        Kind::CertificateRefused,
        format!("{lapsed}; an operator issues another one, and this connection ends"),
    ))
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
