//! What the fuzzer calls, as functions that the tests call as well.
//!
//! libFuzzer needs a nightly compiler and somebody who starts it; a target that runs only there is
//! one that nobody notices breaking. So each target is a function of bytes here, with the seeds
//! that it begins with: `fuzz/fuzz_targets` hands it to libFuzzer, and `tests/stable.rs` runs it
//! over its seeds, the kept corpus and ten thousand seeded mutations in every `make test`.
//!
//! A target never panics on bytes from outside; where it asserts, the assertion is the property.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target panics to report what it found"
)]

mod capture;
pub mod mutate;
pub mod papers;

pub mod api;
pub mod config;
pub mod conversation;
pub mod failover;
pub mod host;
pub mod job;
pub mod key;
pub mod local;
pub mod msgpack;
pub mod pki;
pub mod rest;
pub mod sealed;
pub mod service;
pub mod store;
pub mod target;
pub mod zmtp;

/// A target under the name of its file in `fuzz/fuzz_targets`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// The property.
    pub run: fn(&[u8]),
    /// Inputs that get deep, made from the recorded vectors.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "audit_note",
        run: local::audit_note,
        seeds: local::audit_note_seeds,
    },
    Target {
        name: "audit_record",
        run: service::audit_record,
        seeds: service::audit_record_seeds,
    },
    Target {
        name: "auth_reply",
        run: conversation::auth_reply,
        seeds: conversation::auth_reply_seeds,
    },
    Target {
        name: "auth_signed_load",
        run: conversation::auth_signed_load,
        seeds: conversation::auth_signed_load_seeds,
    },
    Target {
        name: "authority_lists",
        run: pki::authority_lists,
        seeds: pki::authority_lists_seeds,
    },
    Target {
        name: "certificate_request",
        run: service::certificate_request,
        seeds: service::certificate_request_seeds,
    },
    Target {
        name: "certificates",
        run: pki::certificates,
        seeds: pki::certificates_seeds,
    },
    Target {
        name: "client_certificate",
        run: service::client_certificate,
        seeds: service::client_certificate_seeds,
    },
    Target {
        name: "client_chain",
        run: pki::client_chain,
        seeds: pki::client_chain_seeds,
    },
    Target {
        name: "client_settings",
        run: local::client_settings,
        seeds: local::client_settings_seeds,
    },
    Target {
        name: "command_secrets",
        run: local::command_secrets,
        seeds: local::command_secrets_seeds,
    },
    Target {
        name: "config",
        run: config::run,
        seeds: config::seeds,
    },
    Target {
        name: "control_frames",
        run: local::control_frames,
        seeds: local::control_frames_seeds,
    },
    Target {
        name: "crypticle",
        run: sealed::crypticle,
        seeds: sealed::crypticle_seeds,
    },
    Target {
        name: "crypticle_plaintext",
        run: sealed::crypticle_plaintext,
        seeds: sealed::crypticle_plaintext_seeds,
    },
    Target {
        name: "failover",
        run: failover::run,
        seeds: failover::seeds,
    },
    Target {
        name: "fingerprint",
        run: key::fingerprint,
        seeds: key::fingerprint_seeds,
    },
    Target {
        name: "hsm_uri",
        run: service::hsm_uri,
        seeds: service::hsm_uri_seeds,
    },
    Target {
        name: "http_request",
        run: api::http_request,
        seeds: api::http_request_seeds,
    },
    Target {
        name: "job",
        run: job::run,
        seeds: job::seeds,
    },
    Target {
        name: "log_format",
        run: host::log_format,
        seeds: host::log_format_seeds,
    },
    Target {
        name: "master_keys",
        run: local::master_keys,
        seeds: local::master_keys_seeds,
    },
    Target {
        name: "minion_key",
        run: host::minion_key,
        seeds: host::minion_key_seeds,
    },
    Target {
        name: "minion_pki",
        run: host::minion_pki,
        seeds: host::minion_pki_seeds,
    },
    Target {
        name: "msgpack",
        run: msgpack::run,
        seeds: msgpack::seeds,
    },
    Target {
        name: "operator_decision",
        run: pki::operator_decision,
        seeds: pki::operator_decision_seeds,
    },
    Target {
        name: "os_release",
        run: host::os_release,
        seeds: host::os_release_seeds,
    },
    Target {
        name: "pin_source",
        run: local::pin_source,
        seeds: local::pin_source_seeds,
    },
    Target {
        name: "presentation",
        run: rest::presentation,
        seeds: rest::presentation_seeds,
    },
    Target {
        name: "private_key",
        run: local::private_key,
        seeds: local::private_key_seeds,
    },
    Target {
        name: "problem",
        run: rest::problem,
        seeds: rest::problem_seeds,
    },
    Target {
        name: "public_key",
        run: key::public_key,
        seeds: key::public_key_seeds,
    },
    Target {
        name: "publication",
        run: conversation::publication,
        seeds: conversation::publication_seeds,
    },
    Target {
        name: "publication_signed_load",
        run: conversation::publication_signed_load,
        seeds: conversation::publication_signed_load_seeds,
    },
    Target {
        name: "request_claim",
        run: pki::request_claim,
        seeds: pki::request_claim_seeds,
    },
    Target {
        name: "request_file",
        run: rest::request_file,
        seeds: rest::request_file_seeds,
    },
    Target {
        name: "request_reply",
        run: conversation::request_reply,
        seeds: conversation::request_reply_seeds,
    },
    Target {
        name: "salt_config",
        run: config::salt_config,
        seeds: config::salt_config_seeds,
    },
    Target {
        name: "service_answers",
        run: rest::service_answers,
        seeds: rest::service_answers_seeds,
    },
    Target {
        name: "service_config",
        run: config::service_config,
        seeds: config::service_config_seeds,
    },
    Target {
        name: "service_papers",
        run: pki::service_papers,
        seeds: pki::service_papers_seeds,
    },
    Target {
        name: "signature_file",
        run: key::signature_file,
        seeds: key::signature_file_seeds,
    },
    Target {
        name: "signed_statement",
        run: rest::signed_statement,
        seeds: rest::signed_statement_seeds,
    },
    Target {
        name: "spelling",
        run: service::spelling,
        seeds: service::spelling_seeds,
    },
    Target {
        name: "state_file",
        run: host::state_file,
        seeds: host::state_file_seeds,
    },
    Target {
        name: "statement",
        run: service::statement,
        seeds: service::statement_seeds,
    },
    Target {
        name: "store_rows",
        run: store::store_rows,
        seeds: store::store_rows_seeds,
    },
    Target {
        name: "target",
        run: target::run,
        seeds: target::seeds,
    },
    Target {
        name: "worker_frames",
        run: service::worker_frames,
        seeds: service::worker_frames_seeds,
    },
    Target {
        name: "zmtp",
        run: zmtp::run,
        seeds: zmtp::seeds,
    },
    Target {
        name: "zmtp_traffic",
        run: zmtp::traffic,
        seeds: zmtp::traffic_seeds,
    },
];
