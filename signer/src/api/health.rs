//! What the machines around the service ask it: does it live, can it serve, what did it count.
//!
//! On a listener of its own, plain HTTP and on the loopback interface unless configured otherwise.
//! `/livez` depends on nothing, or a supervisor would kill a service that can still serve what is
//! stored. `/readyz` never signs: it repeats what the last trial signature showed. Without an HSM
//! the service is degraded and not down, since signatures that exist are served; it is down only
//! when its state cannot be read, or when it is stopping.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use minion::verify::KeyHash;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::confinement::Confinement;
use crate::hsm;
use crate::hsm::HsmStatus;
use crate::store::backend::BoxFuture;

/// Where the answers come from.
pub trait Sources: fmt::Debug + Send + Sync {
    /// Everything that readiness hangs on, as it is at this moment.
    fn facts(&self) -> BoxFuture<'_, Facts>;
}

/// What readiness hangs on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The service was told to stop.
    pub draining: bool,
    /// The database answers.
    pub store_readable: bool,
    /// How many rows are kept out of service because they were altered.
    pub quarantined: usize,
    /// The key that signs.
    pub signing_key: Option<KeyHash>,
    /// Why the HSM's key is not the one that signs, if it is not.
    pub refused_key: Option<String>,
    /// What each HSM is doing.
    pub hsms: Vec<HsmStatus>,
    /// What is wrong with the certificates that were exchanged last.
    pub certificates: Option<String>,
    /// Why the heads of the audit chain do not get where they are to be told.
    pub audit_heads: Option<String>,
    /// What the kernel holds the service to; nothing, if it was not asked to.
    pub confinement: Option<Confinement>,
    /// When the service's certificate ends.
    pub not_after: Timestamp,
}

/// What a balancer needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// Serves what is stored; something needs an operator or time.
    Degraded,
    /// Serves nothing.
    Down,
    /// Serves and signs.
    Ready,
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The verdict.
    pub status: Readiness,
    /// Why it is not better than that, a sentence each.
    pub reasons: Vec<String>,
    /// The key that signs.
    pub signing_key: Option<String>,
    /// When the service's certificate ends.
    pub certificate_not_after: Timestamp,
    /// What the kernel holds the service to.
    pub confinement: Option<Confinement>,
    /// What each HSM is doing.
    pub hsms: Vec<HsmStatus>,
}

impl From<Facts> for Report {
    fn from(facts: Facts) -> Self {
        let mut reasons = Vec::new();
        if facts.draining {
            reasons.push("the service is stopping".to_owned());
        }
        if !facts.store_readable {
            reasons.push("the database cannot be read".to_owned());
        }
        let down = !reasons.is_empty();
        if facts.quarantined > 0 {
            let rows = facts.quarantined;
            reasons.push(format!(
                "{rows} altered rows of the database are kept out of service; the log names them"
            ));
        }
        reasons.extend(facts.refused_key);
        reasons.extend(facts.certificates);
        reasons.extend(facts.audit_heads);
        if facts.hsms.is_empty() {
            reasons.push("no HSM is configured".to_owned());
        }
        for hsm in &facts.hsms {
            if hsm.state != hsm::State::Ready {
                reasons.push(format!("HSM {}: {}", hsm.name, word(hsm.state)));
            } else if hsm.last_probe.is_none_or(|age| age > OLDEST_PROBE) {
                reasons.push(format!("HSM {}: no recent trial signature", hsm.name));
            }
        }
        Self {
            status: match (down, reasons.is_empty()) {
                (true, _) => Readiness::Down,
                (false, true) => Readiness::Ready,
                (false, false) => Readiness::Degraded,
            },
            reasons,
            signing_key: facts.signing_key.map(|key| key.to_string()),
            certificate_not_after: facts.not_after,
            confinement: facts.confinement,
            hsms: facts.hsms,
        }
    }
}

/// Builds the router of the operations listener.
pub fn router(sources: Arc<dyn Sources>, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/livez", get("alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/v1/openapi.json", get(description))
        .with_state(Ops { sources, metrics })
}

#[derive(Clone, Debug)]
struct Ops {
    sources: Arc<dyn Sources>,
    metrics: Option<PrometheusHandle>,
}

async fn ready(State(ops): State<Ops>) -> Response {
    let report = Report::from(ops.sources.facts().await);
    let status = match report.status {
        Readiness::Degraded | Readiness::Ready => StatusCode::OK,
        Readiness::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

async fn description() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, super::openapi::text())
}

async fn numbers(State(ops): State<Ops>) -> Response {
    let Some(metrics) = ops.metrics else {
        return StatusCode::NOT_FOUND.into_response();
    };
    measure(&ops.sources.facts().await);
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (headers, metrics.render()).into_response()
}

/// Takes the numbers that nobody reports when they change.
fn measure(facts: &Facts) {
    metrics::gauge!("mastersign_certificate_not_after_timestamp_seconds")
        .set(float(facts.not_after.unix()));
    metrics::gauge!("mastersign_store_quarantined_rows").set(float(facts.quarantined));
    let queued = facts.hsms.iter().map(|hsm| hsm.queued).max();
    metrics::gauge!("mastersign_hsm_queue_depth").set(float(queued.unwrap_or_default()));
    for hsm in &facts.hsms {
        let name = || hsm.name.clone();
        for state in STATES {
            metrics::gauge!("mastersign_hsm_state", "hsm" => name(), "state" => word(state))
                .set(u8::from(hsm.state == state));
        }
        metrics::gauge!("mastersign_hsm_in_flight", "hsm" => name()).set(float(hsm.in_flight));
        metrics::gauge!("mastersign_hsm_sessions", "hsm" => name()).set(float(hsm.sessions));
        metrics::counter!("mastersign_hsm_worker_starts_total", "hsm" => name())
            .absolute(hsm.starts);
        if let Some(age) = hsm.last_probe {
            metrics::gauge!("mastersign_hsm_last_probe_age_seconds", "hsm" => name()).set(age);
        }
    }
}

/// Numbers beyond 2³² are counted by nobody here, except for times: they keep whole seconds until
/// 2106.
fn float(number: impl TryInto<u32>) -> f64 {
    number.try_into().map_or(f64::INFINITY, f64::from)
}

const fn word(state: hsm::State) -> &'static str {
    match state {
        hsm::State::Backoff => "backoff",
        hsm::State::Failed => "failed",
        hsm::State::Locked => "locked",
        hsm::State::PinCountLow => "pin-count-low",
        hsm::State::PinLatched => "pin-latched",
        hsm::State::Quarantined => "quarantined",
        hsm::State::Ready => "ready",
        hsm::State::Starting => "starting",
        hsm::State::Stopped => "stopped",
    }
}

const STATES: [hsm::State; 9] = [
    hsm::State::Backoff,
    hsm::State::Failed,
    hsm::State::Locked,
    hsm::State::PinCountLow,
    hsm::State::PinLatched,
    hsm::State::Quarantined,
    hsm::State::Ready,
    hsm::State::Starting,
    hsm::State::Stopped,
];

/// Twice the interval of the trial signatures, and the default deadline of one.
pub(crate) const OLDEST_PROBE: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests;
