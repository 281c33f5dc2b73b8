//! Every target over its seeds, the corpus of `fuzz/corpus`, and ten thousand seeded mutations of
//! both.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;
use fuzz_targets::mutate::{Random, mutate};

const MUTATIONS: usize = 10_000;

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            hold(stringify!($name));
        })*
    };
}

targets!(
    audit_note,
    audit_record,
    auth_reply,
    auth_signed_load,
    authority_lists,
    certificate_request,
    certificates,
    client_certificate,
    client_chain,
    client_settings,
    command_secrets,
    config,
    control_frames,
    crypticle,
    crypticle_plaintext,
    failover,
    fingerprint,
    hsm_uri,
    http_request,
    job,
    log_format,
    master_keys,
    minion_key,
    minion_pki,
    msgpack,
    operator_decision,
    os_release,
    pin_source,
    presentation,
    private_key,
    problem,
    public_key,
    publication,
    publication_signed_load,
    request_claim,
    request_file,
    request_reply,
    salt_config,
    service_answers,
    service_config,
    service_papers,
    signature_file,
    signed_statement,
    spelling,
    state_file,
    statement,
    store_rows,
    target,
    worker_frames,
    zmtp,
    zmtp_traffic,
);

#[test]
fn every_target_has_a_test_here_and_a_file_for_the_fuzzer() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in names {
        let file = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            file.contains("fuzz_targets::"),
            "{name} calls something else"
        );
        assert!(
            manifest.contains(&format!("fuzz_targets/{name}.rs")),
            "{name} is not built"
        );
    }
}

#[test]
fn every_target_has_a_corpus_that_is_small_enough_to_be_kept() {
    let mut all = 0;
    for name in NAMES {
        let inputs = corpus(name);
        let size: usize = inputs.iter().map(Vec::len).sum();
        assert!(
            (1..=100).contains(&inputs.len()),
            "{name}: {}",
            inputs.len()
        );
        assert!(size <= 100 * 1024, "{name}: {size} bytes");
        all += size;
    }
    assert!(all <= 2 * 1024 * 1024, "{all} bytes");
    let folders = std::fs::read_dir(folder()).unwrap();
    for name in folders.map(|entry| entry.unwrap().file_name()) {
        assert!(
            NAMES.contains(&name.to_str().unwrap()),
            "{name:?} is nobody's"
        );
    }
}

fn hold(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty(), "nothing to begin with");
    inputs.extend(corpus(name));
    let mut random = Random::new(name);
    for input in &inputs {
        check(target, input);
    }
    for _ in 0..MUTATIONS {
        let input = &inputs[random.below(inputs.len())];
        let other = &inputs[random.below(inputs.len())];
        check(target, &mutate(input, other, &mut random));
    }
}

/// Runs one input, and shows it if it breaks the property.
fn check(target: &fuzz_targets::Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{} fails on {}", target.name, hex::encode(input));
    }
}

/// What `make fuzz KEEP=1` found to reach code that nothing smaller does, in the order of the names,
/// so that the mutations are the same everywhere.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder().join(name)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let inputs = paths.iter().map(|path| std::fs::read(path).unwrap());
    inputs.collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}
