//! What every request meets before its handler: limits, deadlines, ids, panics.

use std::collections::HashSet;
use std::io;

use axum::Router;
use axum::routing::{get, put};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;
use tower::ServiceExt;

use super::*;
use crate::api::problem::MEDIA_TYPE;
use crate::config::Limits;
use crate::telemetry::testing::Written;

#[tokio::test]
async fn every_answer_has_an_id_of_ours() {
    let request = Request::get("/ok")
        .header("x-request-id", "forged")
        .body(Body::empty())
        .unwrap();
    let response = answer(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert!(id.parse::<Uuid>().is_ok(), "{id}");
}

#[tokio::test]
async fn a_cached_signature_leaves_no_line_and_everything_else_does() {
    let (written, _guard) = log_at(tracing::Level::INFO);
    for (path, lines) in [
        ("/v1/signatures/known", 0),
        ("/ok", 1),
        ("/v1/signatures/new", 2),
    ] {
        answer(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            written.lines().len(),
            lines,
            "{path}: {:?}",
            written.lines()
        );
    }
}

#[tokio::test]
async fn what_is_in_memory_is_answered_at_once_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let around = around();
    let request = Request::get("/").body(Body::empty()).unwrap();
    let ids: HashSet<String> = (0..2)
        .map(|_| {
            let answer = around.answer_at_once(&request, &peer(), || Some(Response::default()));
            let answer = answer.unwrap();
            let id = answer.headers()["x-request-id"].to_str().unwrap();
            id.parse::<Uuid>().unwrap();
            id.to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 2);
    let counted = "mastersign_http_requests_total{route=\"/v1/signatures/{sha256}\",\
                   method=\"GET\",status=\"200\"} 2";
    let text = metrics.render();
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn what_cannot_be_answered_at_once_has_asked_for_a_place_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let around = around();
    let get = || Request::get("/ok").body(Body::empty()).unwrap();
    for request in [
        Request::put("/").body(Body::empty()).unwrap(),
        Request::get("/").body(Body::from("body")).unwrap(),
    ] {
        let answer = around.answer_at_once(&request, &peer(), || unreachable!("it may not"));
        assert!(matches!(answer, Err(Asking::Nothing)));
    }
    let unknown = around.answer_at_once(&get(), &peer(), || None).unwrap_err();
    assert!(matches!(unknown, Asking::Place(_)));
    let panicked = around.answer_at_once(&get(), &peer(), || panic!("hunter2"));
    assert!(matches!(panicked, Err(Asking::Place(_))));
    // Two shares are spent, and there are no more; but the place was paid for.
    let refused = around.answer_at_once(&get(), &peer(), || Some(Response::default()));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Asking::Refused(_)));
    for (asking, status) in [(unknown, 200), (refused, 429)] {
        let mut request = get();
        request.extensions_mut().insert(Arc::new(peer()));
        let inner = async |_| StatusCode::OK.into_response();
        let answer = around.answer(request, asking, inner).await;
        assert_eq!(answer.status(), status);
    }
    let counted = "mastersign_requests_turned_away_total{reason=\"share\"} 1";
    let text = metrics.render();
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn what_is_stored_is_served_while_all_who_may_wait_for_a_signature_do() {
    let limits = Limits {
        requests: 8,
        ..LIMITS
    };
    let around = Arc::new(Around::new(PATIENCE, Admission::new(&limits)));
    let ask = |request: Request, begun: Arc<Semaphore>| {
        let around = Arc::clone(&around);
        tokio::spawn(async move {
            let inner = async |_| {
                begun.add_permits(1);
                std::future::pending().await
            };
            around.answer(request, Asking::Nothing, inner).await
        })
    };
    let put = || put_body(Body::empty());
    // A queue of the HSM that is longer than there are places.
    let begun = Arc::new(Semaphore::new(0));
    let waiting: Vec<_> = (0..4).map(|_| ask(put(), Arc::clone(&begun))).collect();
    let _all = begun.acquire_many(4).await.unwrap();
    let inner = async |_| unreachable!("there is no place for it");
    let refused = around.answer(put(), Asking::Nothing, inner).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));

    let get = || Request::get("/").body(Body::empty()).unwrap();
    for _ in 0..20 {
        let at_once = around.answer_at_once(&get(), &peer(), || Some(Response::default()));
        assert_eq!(at_once.unwrap().status(), StatusCode::OK);
        let inner = async |_| StatusCode::OK.into_response();
        let answer = around.answer(get(), Asking::Nothing, inner).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    for request in waiting {
        assert!(!request.is_finished());
        request.abort();
    }
}

#[tokio::test]
async fn a_client_that_is_let_in_no_more_costs_neither_a_share_nor_a_body() {
    let around = around();
    for _ in 0..3 {
        let mut request = put_body(chunked(MAX_BODY + 1));
        request.extensions_mut().insert(Arc::new(peer()));
        request.extensions_mut().insert(crate::tls::Lapsed);
        let inner = async |_| unreachable!("it is refused before");
        let answer = around.answer(request, Asking::Nothing, inner).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_line_that_somebody_wants_is_not_left_out() {
    let (written, _guard) = log_at(tracing::Level::DEBUG);
    let request = Request::get("/v1/signatures/known")
        .body(Body::empty())
        .unwrap();
    let at_once = around().answer_at_once(&request, &peer(), || unreachable!("it has a line"));
    assert!(matches!(at_once, Err(Asking::Nothing)));
    answer(request).await;
    assert_eq!(written.lines().len(), 1);
}

/// What this thread logs from here on, as long as the guard is there.
fn log_at(level: tracing::Level) -> (Written, tracing::subscriber::DefaultGuard) {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(written.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    (written, guard)
}

/// With a share of two requests.
fn around() -> Around {
    let limits = Limits {
        requests_per_second: 2,
        ..LIMITS
    };
    Around::new(Duration::from_secs(1), Admission::new(&limits))
}

fn peer() -> Peer {
    let setting = crate::tls::testing::Setting::new();
    let pair = setting.masters.client("mastersign:master:one");
    let peer = Peer::from_certificate(&pair.der).unwrap();
    Peer {
        client_key: [1; 32],
        ..peer
    }
}

#[tokio::test]
async fn a_body_at_the_limit_passes_and_one_byte_more_does_not() {
    let (status, body) = send(put_body(Body::from(vec![0; MAX_BODY]))).await;
    assert_eq!((status, body), (200, Value::from(MAX_BODY)));
    for body in [Body::from(vec![0; MAX_BODY + 1]), chunked(MAX_BODY + 1)] {
        let (status, body) = send(put_body(body)).await;
        assert_eq!(status, 413);
        assert_eq!(body["type"], "urn:mastersign:problem:body-too-large");
        assert_eq!(body["retriable"], false);
    }
}

#[tokio::test]
async fn a_panic_is_answered_without_its_words() {
    let (status, body) = send(Request::get("/panic").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 500);
    assert_eq!(body["type"], "urn:mastersign:problem:internal");
    assert!(body["request_id"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert!(!body.to_string().contains("hunter2"));
}

#[tokio::test]
async fn what_axum_refuses_is_a_problem_too() {
    for (request, status, kind) in [
        (Request::get("/nowhere"), 404, "not-found"),
        (Request::post("/ok"), 405, "method-not-allowed"),
    ] {
        let (found, body) = send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(found, status);
        assert_eq!(body["type"], format!("urn:mastersign:problem:{kind}"));
    }
    let request = Request::post("/ok").body(Body::empty()).unwrap();
    let response = answer(request).await;
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn a_slow_body_and_a_slow_service_are_told_apart() {
    let (mut writer, reader) = tokio::io::duplex(16);
    writer.write_all(b"{").await.unwrap();
    let (status, body) = send(put_body(Body::from_stream(ReaderStream::new(reader)))).await;
    assert_eq!((status, &body["retriable"]), (408, &Value::Bool(true)));
    let (status, body) = send(Request::get("/hang").body(Body::empty()).unwrap()).await;
    assert_eq!((status, &body["retriable"]), (503, &Value::Bool(true)));
    drop(writer);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_fault() {
    let broken = ReaderStream::new(Broken);
    let (status, body) = send(put_body(Body::from_stream(broken))).await;
    assert_eq!(
        (status, &body["detail"]),
        (400, &Value::from("the body ended early"))
    );
}

async fn send(request: Request) -> (u16, Value) {
    let response = answer(request).await;
    let status = response.status();
    if status != StatusCode::OK {
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert!(response.headers().contains_key("x-request-id"));
    }
    let body = to_bytes(response.into_body(), 4096).await.unwrap();
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

async fn answer(request: Request) -> Response {
    let router = Router::new()
        .route("/ok", get(async || "ok"))
        .route("/length", put(async |body: String| body.len().to_string()))
        .route("/v1/signatures/known", get(async || "signature"))
        .route("/v1/signatures/new", get(async || StatusCode::CREATED))
        .route("/panic", get(panics))
        .route("/hang", get(std::future::pending::<()>));
    let around = Around::new(Duration::from_millis(200), Admission::new(&LIMITS));
    around
        .answer(request, Asking::Nothing, async |request| {
            router.oneshot(request).await.unwrap()
        })
        .await
}

const LIMITS: Limits = Limits {
    connections: 1,
    connections_per_address: 1,
    requests: 64,
    requests_per_second: 1000,
    handshake_timeout: Duration::from_secs(1),
    header_timeout: Duration::from_secs(1),
    request_timeout: Duration::from_secs(1),
    drain_timeout: Duration::from_secs(1),
};

/// Longer than any test.
const PATIENCE: Duration = Duration::from_secs(600);

async fn panics() {
    panic!("hunter2");
}

fn put_body(body: Body) -> Request {
    Request::put("/length").body(body).unwrap()
}

/// A body whose length is not announced.
fn chunked(length: usize) -> Body {
    Body::from_stream(ReaderStream::new(io::Cursor::new(vec![0; length])))
}

struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::Error::other("reset")))
    }
}
