//! What happens to every request, whatever it asks for.
//!
//! From outside in: it gets an id that every line of the log carries, and is counted; a panic in a
//! handler becomes an answer; its body is read as a whole, within a limit and a time; then it needs
//! a place and its caller's share; the handler has a time. Whatever goes wrong on the way is
//! answered as a [`Problem`], and here is the one place that writes the request's id into it and
//! its cause into the log.
//!
//! The body is read here and not by the handlers, since none of them can start before it is there:
//! this way a slow sender (408) and a slow service (503) are told apart.

mod record;

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use uuid::Uuid;

use self::record::{Asked, Tally};
use super::admission::{Admission, Place};
use crate::api;
use crate::api::problem::{Kind, Problem};
use crate::telemetry::{self, Chain, Escaped};
use crate::tls::peer::Peer;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Around {
    timeout: Duration,
    admission: Admission,
    tally: Tally,
}

/// How far a request has come in asking for a place; each asks once.
#[derive(Debug)]
pub(super) enum Asking {
    /// It has not asked yet.
    Nothing,
    /// It has one.
    Place(Place),
    /// It was turned away.
    Refused(Problem),
}

impl Around {
    pub(super) fn new(timeout: Duration, admission: Admission) -> Self {
        Self {
            timeout,
            admission,
            tally: Tally::default(),
        }
    }

    /// The answer to a `GET` without a body that `inner` can give out of memory, with what is left
    /// to do around one: no wait means no deadline, and no line means no context for it. Otherwise
    /// what became of the request so far, with which [`answer`](Self::answer) goes on.
    pub(super) fn answer_at_once<B: HttpBody>(
        &self,
        request: &axum::http::Request<B>,
        peer: &Peer,
        inner: impl FnOnce() -> Option<Response>,
    ) -> Result<Response, Asking> {
        if request.method() != Method::GET
            || !request.body().is_end_stream()
            || record::is_hit_logged()
        {
            return Err(Asking::Nothing);
        }
        let begin = Instant::now();
        let place = self.admission.admit(Some(peer), request.method());
        let place = place.map_err(Asking::Refused)?;
        // A panic comes again where it is answered.
        let answer = std::panic::catch_unwind(AssertUnwindSafe(inner));
        let Some(mut response) = answer.ok().flatten() else {
            return Err(Asking::Place(place));
        };
        identify(&mut response, Uuid::new_v4());
        self.tally.record_hit(response.status(), begin.elapsed());
        Ok(response)
    }

    /// The answer of `inner`, with all that is around it. No layers of a router, because each of
    /// these costs a request two boxes.
    pub(super) async fn answer<F>(
        &self,
        request: Request,
        asking: Asking,
        inner: impl FnOnce(Request) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let id = Uuid::new_v4();
        let asked = Arc::new(Asked::of(&request, id));
        let begin = Instant::now();
        let context = Arc::clone(&asked) as Arc<dyn telemetry::Context>;
        telemetry::within(context, async {
            let answer = AssertUnwindSafe(self.bounded(request, asking, inner)).catch_unwind();
            let response = answer.await.unwrap_or_else(|_| panicked());
            let mut response = rendered(response, id).await;
            identify(&mut response, id);
            let status = response.status();
            self.tally.record(&asked, status, begin.elapsed());
            response
        })
        .await
    }

    async fn bounded<F>(
        &self,
        request: Request,
        asking: Asking,
        inner: impl FnOnce(Request) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let (parts, body) = request.into_parts();
        if let Some(problem) = api::lapsed(&parts.extensions) {
            return problem.into_response();
        }
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_BODY) {
            return too_large().into_response();
        }
        let body = match self.received(body).await {
            Ok(body) => body,
            Err(problem) => return problem.into_response(),
        };
        // Held until the answer is there.
        let peer = parts.extensions.get::<Arc<Peer>>().map(AsRef::as_ref);
        let place = match asking {
            Asking::Nothing => self.admission.admit(peer, &parts.method),
            Asking::Place(place) => Ok(place),
            Asking::Refused(problem) => Err(problem),
        };
        let _place = match place {
            Ok(place) => place,
            Err(problem) => return problem.into_response(),
        };
        let request = Request::from_parts(parts, body);
        match tokio::time::timeout(self.timeout, inner(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(Kind::Timeout, SLOW_ANSWER).into_response(),
        }
    }

    async fn received(&self, body: Body) -> Result<Body, Problem> {
        if body.is_end_stream() {
            return Ok(body);
        }
        let whole = tokio::time::timeout(self.timeout, whole(body)).await;
        whole.map_err(|_| Problem::new(Kind::RequestTimeout, SLOW_BODY))?
    }
}

fn identify(response: &mut Response, id: Uuid) {
    let mut text = Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut text);
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// Reads the body as a whole; axum's own reader tells a body that is too long only by an error's
/// text.
async fn whole(mut body: Body) -> Result<Body, Problem> {
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
    Ok(Body::from(Bytes::from(whole)))
}

fn too_large() -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("a request's body has at most {MAX_BODY} bytes"),
    )
}

/// The hook said where it was; its words may hold what nobody is to read.
fn panicked() -> Response {
    tracing::error!("a handler panicked");
    Problem::new(
        Kind::Internal,
        "the service failed; its log has the reason under this request_id",
    )
    .into_response()
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

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request is a 4096-bit key, a proof by it and the JSON around them: less than 3 KiB.
pub const MAX_BODY: usize = 16 * 1024;
/// A library's refusal is one line.
const MAX_FOREIGN: usize = 1024;
const SLOW_ANSWER: &str = "the answer was not ready in time; the same request may be sent again";
const SLOW_BODY: &str = "the body did not arrive in time";

#[cfg(test)]
mod tests;
