//! What happens to every request, whatever it asks for.
//!
//! From outside in: it gets an id, a span and a line in the log; a panic in a handler becomes an
//! answer; its body is read as a whole, within a limit and a time; then it needs a place and its
//! caller's share; the handler has a time. Whatever
//! goes wrong on the way is answered as a [`Problem`], and here is the one place that writes the
//! request's id into it and its cause into the log.
//!
//! The body is read here and not by the handlers, since none of them can start before it is there:
//! this way a slow sender (408) and a slow service (503) are told apart.

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

use super::admission::Admission;
use crate::api::problem::{Kind, Problem};
use crate::telemetry::{Chain, Escaped};
use crate::tls::peer::Peer;

/// The id of a request, in its extensions; made here, whatever the caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// Wraps what is the same for every route around the router.
pub(super) fn layered(router: Router, timeout: Duration, admission: Admission) -> Router {
    router
        .layer(from_fn_with_state((timeout, admission), bounded))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(observed))
}

async fn bounded(
    State((timeout, admission)): State<(Duration, Admission)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_BODY) {
        return too_large().into_response();
    }
    let body = match tokio::time::timeout(timeout, whole(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => return Problem::new(Kind::RequestTimeout, SLOW_BODY).into_response(),
    };
    // Held until the answer is there.
    let _place = match admission.admit(parts.extensions.get::<Peer>()) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let request = Request::from_parts(parts, Body::from(body));
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout, SLOW_ANSWER).into_response(),
    }
}

/// Reads the body as a whole; axum's own reader tells a body that is too long only by an error's
/// text.
async fn whole(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            Problem::new(Kind::BadRequest, "the body ended early").caused_by(error)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len().saturating_add(data.len()) > MAX_BODY {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

fn too_large() -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("a request's body has at most {MAX_BODY} bytes"),
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the payload over"
)]
fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let message = match payload.downcast_ref::<String>() {
        Some(message) => message.as_str(),
        None => payload.downcast_ref::<&str>().copied().unwrap_or_default(),
    };
    tracing::error!(panic = %Escaped(message), "a handler panicked");
    Problem::new(
        Kind::Internal,
        "the service failed; its log has the reason under this request_id",
    )
    .into_response()
}

async fn observed(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let method = known(request.method());
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "unknown".to_owned(),
    };
    let span = span(id, method, &request);
    let begin = Instant::now();
    async {
        let mut response = rendered(next.run(request).await, id).await;
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert("x-request-id", value);
        }
        let status = response.status().as_u16();
        let elapsed = begin.elapsed();
        tracing::info!(status, elapsed_us = elapsed.as_micros(), "answered");
        let labels = [("route", route.clone()), ("method", method.to_owned())];
        metrics::histogram!("mastersign_http_request_seconds", &labels).record(elapsed);
        metrics::counter!(
            "mastersign_http_requests_total",
            "route" => route, "method" => method, "status" => status.to_string()
        )
        .increment(1);
        response
    }
    .instrument(span)
    .await
}

fn span(id: Uuid, method: &'static str, request: &Request) -> tracing::Span {
    let path = Escaped(request.uri().path());
    match request.extensions().get::<Peer>() {
        Some(peer) => tracing::info_span!(
            "request",
            request_id = %id,
            method,
            %path,
            identity = %peer.identity,
            client_key = %hex::encode(peer.client_key),
            certificate = %hex::encode(peer.certificate),
            serial = %peer.serial,
        ),
        None => tracing::info_span!("request", request_id = %id, method, %path),
    }
}

/// A method is the caller's free text; a metric with one series for each would grow without end.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "other",
    }
}

/// Puts the id into a problem, and makes one of a refusal that a library wrote.
async fn rendered(mut response: Response, id: Uuid) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => foreign(status, response.body_mut()).await,
    };
    log(&problem);
    let mut rendered = problem.render(id);
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow);
    }
    rendered
}

async fn foreign(status: StatusCode, body: &mut Body) -> Problem {
    let text = to_bytes(std::mem::take(body), MAX_FOREIGN).await;
    let text = text.unwrap_or_default();
    let kind = Kind::of_status(status);
    match std::str::from_utf8(&text) {
        Ok(text) if !text.is_empty() && kind != Kind::Internal => {
            Problem::new(kind, Escaped(text).to_string())
        }
        Ok(_) | Err(_) => Problem::new(kind, kind.title()),
    }
}

fn log(problem: &Problem) {
    let code = problem.kind().code();
    let detail = Escaped(problem.detail());
    match problem.cause() {
        Some(cause) if problem.kind().status().is_server_error() => {
            tracing::error!(code, %detail, cause = %Chain(cause), "refused");
        }
        Some(cause) => tracing::info!(code, %detail, cause = %Chain(cause), "refused"),
        None => tracing::info!(code, %detail, "refused"),
    }
}

/// The longest request is a 4096-bit key, a proof by it and the JSON around them: less than 3 KiB.
pub const MAX_BODY: usize = 16 * 1024;
/// A library's refusal is one line.
const MAX_FOREIGN: usize = 1024;
const SLOW_ANSWER: &str = "the answer was not ready in time; the same request may be sent again";
const SLOW_BODY: &str = "the body did not arrive in time";

#[cfg(test)]
mod tests;
