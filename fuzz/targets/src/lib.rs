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
    clippy::unwrap_used,
    reason = "a target panics to report what it found"
)]

mod capture;
pub mod mutate;

pub mod config;
pub mod conversation;
pub mod failover;
pub mod job;
pub mod key;
pub mod msgpack;
pub mod rest;
pub mod sealed;
pub mod service;
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
        name: "certificate_request",
        run: service::certificate_request,
        seeds: service::certificate_request_seeds,
    },
    Target {
        name: "client_certificate",
        run: service::client_certificate,
        seeds: service::client_certificate_seeds,
    },
    Target {
        name: "config",
        run: config::run,
        seeds: config::seeds,
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
        name: "hsm_uri",
        run: service::hsm_uri,
        seeds: service::hsm_uri_seeds,
    },
    Target {
        name: "job",
        run: job::run,
        seeds: job::seeds,
    },
    Target {
        name: "msgpack",
        run: msgpack::run,
        seeds: msgpack::seeds,
    },
    Target {
        name: "presentation",
        run: rest::presentation,
        seeds: rest::presentation_seeds,
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
        name: "statement",
        run: service::statement,
        seeds: service::statement_seeds,
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
