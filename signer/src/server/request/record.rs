//! What remains of a request when it is answered: numbers, and a line in the log.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use metrics::{Counter, Histogram};
use uuid::Uuid;

use crate::api::route;
use crate::telemetry::Context;
use crate::tls::peer::Peer;

/// Who asked for what: the context of every line that is logged on the way to the answer.
pub(super) struct Asked {
    id: Uuid,
    method: &'static str,
    route: &'static str,
    uri: Uri,
    peer: Option<Arc<Peer>>,
}

impl Asked {
    pub(super) fn of(request: &Request, id: Uuid) -> Self {
        Self {
            id,
            method: known(request.method()),
            route: route::of(request.uri().path()),
            uri: request.uri().clone(),
            peer: request.extensions().get::<Arc<Peer>>().cloned(),
        }
    }
}

impl Context for Asked {
    fn name(&self) -> &'static str {
        "request"
    }

    fn fields(&self, show: &mut dyn FnMut(&'static str, &dyn fmt::Display)) {
        show("request_id", &self.id);
        show("method", &self.method);
        show("path", &self.uri.path());
        if let Some(peer) = &self.peer {
            show("identity", &peer.identity);
            show("client_key", &hex::encode(peer.client_key));
            show("certificate", &hex::encode(peer.certificate));
            show("serial", &peer.serial);
        }
    }
}

/// The requests that were answered, by route, method and status.
#[derive(Debug, Default)]
pub(super) struct Tally {
    hits: OnceLock<Numbers>,
    /// Looking one up in the recorder takes longer than a signature in the cache.
    numbers: RwLock<HashMap<Kind, Numbers>>,
}

type Kind = (&'static str, &'static str, StatusCode);

#[derive(Clone, Debug)]
struct Numbers {
    count: Counter,
    seconds: Histogram,
}

impl Numbers {
    fn record(&self, elapsed: Duration) {
        self.count.increment(1);
        self.seconds.record(elapsed);
    }
}

/// Whether somebody wants the line that [`Tally::record`] writes for a signature out of memory.
pub(super) fn is_hit_logged() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

impl Tally {
    /// A signature that was served out of memory.
    pub(super) fn record_hit(&self, status: StatusCode, elapsed: Duration) {
        if status == StatusCode::OK {
            let hit = || self.numbers((route::SIGNATURE, "GET", status));
            self.hits.get_or_init(hit).record(elapsed);
        } else {
            self.numbers((route::SIGNATURE, "GET", status))
                .record(elapsed);
        }
    }

    pub(super) fn record(&self, asked: &Asked, status: StatusCode, elapsed: Duration) {
        self.numbers((asked.route, asked.method, status))
            .record(elapsed);
        let (status, elapsed_us) = (status.as_u16(), elapsed.as_micros());
        // Masters ask for what they have again and again. Who got which signature first is in the
        // audit; nobody reads a line for each time after that.
        if matches!(status, 200 | 304) && asked.route == route::SIGNATURE {
            tracing::debug!(status, elapsed_us, "answered");
        } else {
            tracing::info!(status, elapsed_us, "answered");
        }
    }

    fn numbers(&self, kind: Kind) -> Numbers {
        let known = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = known.get(&kind) {
            return numbers.clone();
        }
        drop(known);
        let (route, method, status) = kind;
        let numbers = Numbers {
            count: metrics::counter!(
                "mastersign_http_requests_total",
                "route" => route, "method" => method, "status" => status.as_str().to_owned()
            ),
            seconds: metrics::histogram!(
                "mastersign_http_request_seconds", "route" => route, "method" => method
            ),
        };
        let mut known = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(kind).or_insert(numbers).clone()
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
