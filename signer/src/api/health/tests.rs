//! Every condition of the service, and the word and status that a balancer sees for it.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::confinement::Enforced;

#[tokio::test]
async fn a_service_is_ready_when_every_hsm_is() {
    let (status, body) = readyz(facts()).await;
    assert_eq!((status, &body["status"]), (200, &Value::from("ready")));
    assert_eq!(body["reasons"], Value::Array(Vec::new()));
    assert_eq!(body["hsms"][0]["state"], "ready");
    // Said, and no reason not to be ready: a container may keep it away for ever.
    assert_eq!(body["confinement"]["landlock"], "partial");
    assert_eq!(body["confinement"]["seccomp"], "whole");
    assert_eq!(body["hsms"][0]["last_probe_seconds"], 7);
}

#[tokio::test]
async fn an_hsm_that_made_no_trial_signature_lately_is_not_ready() {
    for age in [None, Some(Duration::from_secs(46))] {
        let mut facts = facts();
        facts.hsms[0].last_probe = age;
        let (status, body) = readyz(facts).await;
        assert_eq!((status, &body["status"]), (200, &Value::from("degraded")));
        assert_eq!(body["reasons"][0], "HSM rack-1: no recent trial signature");
    }
}

#[tokio::test]
async fn without_an_hsm_it_is_degraded_and_still_serves() {
    for state in STATES
        .into_iter()
        .filter(|state| *state != hsm::State::Ready)
    {
        let mut facts = facts();
        facts.hsms[0].state = state;
        let (status, body) = readyz(facts).await;
        assert_eq!((status, &body["status"]), (200, &Value::from("degraded")));
        let reason = body["reasons"][0].as_str().unwrap();
        assert_eq!(reason, format!("HSM rack-1: {}", word(state)));
    }
    let none = Facts {
        hsms: Vec::new(),
        ..facts()
    };
    assert_eq!(readyz(none).await.1["status"], "degraded");
}

#[tokio::test]
async fn altered_rows_and_a_foreign_key_degrade_it() {
    let altered = Facts {
        quarantined: 2,
        refused_key: Some("another key".to_owned()),
        audit_heads: Some("syslog is away".to_owned()),
        ..facts()
    };
    let (status, body) = readyz(altered).await;
    assert_eq!((status, &body["status"]), (200, &Value::from("degraded")));
    assert_eq!(body["reasons"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn without_its_state_or_while_stopping_it_is_down() {
    let unreadable = Facts {
        store_readable: false,
        ..facts()
    };
    let stopping = Facts {
        draining: true,
        ..facts()
    };
    for facts in [unreadable, stopping] {
        let (status, body) = readyz(facts).await;
        assert_eq!((status, &body["status"]), (503, &Value::from("down")));
    }
}

#[tokio::test]
async fn it_lives_whatever_else_is_broken() {
    let down = Facts {
        store_readable: false,
        hsms: Vec::new(),
        ..facts()
    };
    let (status, body) = get("/livez", down, None).await;
    assert_eq!((status, body.as_str()), (200, "alive\n"));
}

#[test]
fn numbers_are_taken_when_they_are_asked_for() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let mut facts = facts();
    facts.hsms[0].queued = 5;
    facts.hsms[0].starts = 3;
    metrics::with_local_recorder(&recorder, || measure(&facts));
    let text = handle.render();
    for line in [
        "mastersign_hsm_queue_depth 5",
        "mastersign_hsm_state{hsm=\"rack-1\",state=\"ready\"} 1",
        "mastersign_hsm_state{hsm=\"rack-1\",state=\"backoff\"} 0",
        "mastersign_hsm_worker_starts_total{hsm=\"rack-1\"} 3",
        "mastersign_certificate_not_after_timestamp_seconds 1900000000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn the_words_of_the_states_are_the_same_everywhere() {
    for state in STATES {
        assert_eq!(serde_json::to_value(state).unwrap(), word(state));
    }
}

async fn readyz(facts: Facts) -> (u16, Value) {
    let (status, body) = get("/readyz", facts, None).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn get(path: &str, facts: Facts, metrics: Option<PrometheusHandle>) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(Arc::new(Fixed(facts)), metrics)
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 16 * 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn facts() -> Facts {
    Facts {
        draining: false,
        store_readable: true,
        quarantined: 0,
        signing_key: None,
        refused_key: None,
        certificates: None,
        audit_heads: None,
        confinement: Some(Confinement {
            landlock: Enforced::Partial,
            seccomp: Enforced::Whole,
        }),
        hsms: vec![HsmStatus {
            name: "rack-1".to_owned(),
            state: hsm::State::Ready,
            detail: String::new(),
            token_serial: None,
            token_label: None,
            last_probe: Some(Duration::from_secs(7)),
            retry_in: None,
            process: None,
            starts: 1,
            sessions: 2,
            in_flight: 0,
            queued: 0,
        }],
        not_after: Timestamp::from_unix(1_900_000_000).unwrap(),
    }
}

#[derive(Debug)]
struct Fixed(Facts);

impl Sources for Fixed {
    fn facts(&self) -> BoxFuture<'_, Facts> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}
