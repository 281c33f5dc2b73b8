//! `mastersign hsm report`: the record of a ceremony.
//!
//! What an auditor asks about the key years later: which token, which firmware, which attributes,
//! which public key, who was there. Everything in it is the module's word or the operators'; what
//! would be proof is the vendor's attestation, and the record says that too.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use minion::verify::{Algorithm, Fingerprint};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::backup::Backup;
use super::inside::{self, Opened};
use super::reserved::Reserved;
use super::secrets::Secrets;
use super::target;
use super::{Output, attributes};
use crate::clock::{Clock, SystemClock};
use crate::hsm::token::{Module, SigningKey, TokenInfo};
use crate::terminal;

/// The arguments of `mastersign hsm report`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// How the key is backed up; the record says if nobody stated it
    #[arg(long, value_enum)]
    backup: Option<Backup>,
    /// Who was there and as what, like "ada: security officer"; can be repeated
    #[arg(long = "witness", value_name = "NAME: ROLE")]
    witnesses: Vec<String>,
    /// Write NAME.json and NAME.txt as well; neither may exist
    #[arg(long, value_name = "NAME")]
    out: Option<PathBuf>,
}

/// Reads the PIN and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    for path in arguments.files().iter().flatten() {
        ensure!(
            !fs::exists(path).unwrap_or(true),
            "{} exists already; name another record with --out",
            path.display()
        );
    }
    inside::run_with_pin(&target, &arguments.target)
}

/// Takes the record.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let opened = Opened::of(&target, secrets)?;
    let Opened {
        module, token, key, ..
    } = &opened;
    let trials = Algorithm::ALL.map(|algorithm| {
        let trial = inside::trial(module, token, key, target.mechanism, algorithm);
        (algorithm, trial.map_err(|error| error.to_string()).err())
    });
    let record = record(arguments, module, token, key, &trials)?;
    let document = serde_json::to_string_pretty(&record)?;
    let digest = hex::encode(Sha256::digest(document.as_bytes()));
    let text = text(&record, key, &digest);
    if let Some([json, plain]) = arguments.files() {
        Reserved::create(&json)?.write(&document)?;
        Reserved::create(&plain)?.write(&text)?;
    }
    match output {
        Output::Json => terminal::say(&document)?,
        Output::Text => terminal::say(text.trim_end())?,
    }
    opened.close()?;
    // After the record, which an auditor wants to see also then.
    for (algorithm, failure) in trials {
        if let Some(failure) = failure {
            bail!(
                "the record is taken, but the key does not sign as it should: a {algorithm} trial \
                 signature failed: {failure}"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn files(&self) -> Option<[PathBuf; 2]> {
        let out = self.out.as_ref()?;
        let with = |end: &str| {
            let mut name = out.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        Some([with(".json"), with(".txt")])
    }
}

fn record(
    arguments: &Arguments,
    module: &Module,
    token: &TokenInfo,
    key: &SigningKey,
    trials: &[(Algorithm, Option<String>)],
) -> anyhow::Result<Value> {
    let library = module.library()?;
    let file = fs::read(module.path())
        .with_context(|| format!("failed to read {}", module.path().display()))?;
    let trials: Map<String, Value> = trials
        .iter()
        .map(|(algorithm, failure)| {
            let outcome = failure.as_deref().unwrap_or("verified");
            (algorithm.to_string(), json!(outcome))
        })
        .collect();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(json!({
        "record": "mastersign-ceremony-v1",
        "time": SystemClock.now(),
        "host": host.trim(),
        "user_id": nix::unistd::getuid().as_raw(),
        "witnesses": arguments.witnesses,
        "program": {"name": "mastersign", "version": env!("CARGO_PKG_VERSION")},
        "module": {
            "path": module.path(),
            "sha256": hex::encode(Sha256::digest(&file)),
            "manufacturer": library.manufacturer,
            "description": library.description,
            "version": library.version,
            "pkcs11_version": library.pkcs11_version,
        },
        "token": attributes::token_json(token),
        "key": attributes::key_json(key),
        "public_key": key.public.to_file(),
        "trial_signatures": trials,
        "backup": arguments.backup.map(|backup| json!({
            "kind": backup.word(),
            "consequence": backup.consequence(),
        })),
    }))
}

/// The record for people, to be printed and signed by hand.
fn text(record: &Value, key: &SigningKey, digest: &str) -> String {
    let of = |path: &str| match record.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "not stated".to_owned(),
        Some(other) => other.to_string(),
    };
    let mut lines = head(&of);
    for line in attributes::attributes_lines(&key.attributes) {
        lines.push(format!("           {line}"));
    }
    lines.push(format!("verdict    {}", key.attributes.verdict()));
    lines.push(
        "           (the module's word; proof is an attestation by the vendor's tool)".to_owned(),
    );
    if let Some(trials) = record
        .pointer("/trial_signatures")
        .and_then(Value::as_object)
    {
        for (algorithm, outcome) in trials {
            let outcome = outcome.as_str().unwrap_or_default();
            lines.push(format!(
                "trial      {algorithm} over its own public half: {outcome}"
            ));
        }
    }
    lines.extend(fingerprints(key));
    lines.push(format!("backup     {}", of("/backup/kind")));
    if record.pointer("/backup/consequence").is_some() {
        lines.push(format!("           {}", of("/backup/consequence")));
    }
    lines.push(String::new());
    lines.push(format!("sha256 of the JSON record  {digest}"));
    lines.push(String::new());
    lines.extend(signatures(record));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Where and on what the record was taken.
fn head(of: &impl Fn(&str) -> String) -> Vec<String> {
    vec![
        "RECORD OF A SIGNING KEY".to_owned(),
        format!("time       {}", of("/time")),
        format!("machine    {} (user id {})", of("/host"), of("/user_id")),
        format!("program    mastersign {}", of("/program/version")),
        String::new(),
        format!(
            "module     {} {}",
            of("/module/description"),
            of("/module/version")
        ),
        format!(
            "           {} (sha256 {})",
            of("/module/path"),
            of("/module/sha256")
        ),
        format!(
            "token      {:?}, serial {:?}",
            of("/token/label"),
            of("/token/serial")
        ),
        format!(
            "           {} {}, firmware {}",
            of("/token/manufacturer"),
            of("/token/model"),
            of("/token/firmware")
        ),
        String::new(),
        format!(
            "key        RSA-{}, id {}, label {:?}",
            of("/key/bits"),
            of("/key/id"),
            of("/key/label")
        ),
    ]
}

/// The public half under every name.
fn fingerprints(key: &SigningKey) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!("sha256 of the key   {}", key.public.hash()),
        format!("Salt's fingerprint  {}", Fingerprint::salt(&key.public)),
        format!("of the whole file   {}", Fingerprint::file(&key.public)),
    ];
    if let Ok(spki) = Fingerprint::spki(&key.public) {
        lines.push(format!("of the DER (SPKI)   {spki}"));
    }
    lines.push(String::new());
    lines.push(key.public.to_file());
    lines
}

/// Where those who were there sign.
fn signatures(record: &Value) -> Vec<String> {
    let mut lines = vec!["Present, and what for:".to_owned()];
    let witnesses = record.pointer("/witnesses").and_then(Value::as_array);
    for witness in witnesses.into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("  {witness:<40} ______________________________"));
    }
    for _ in witnesses.map_or(0, Vec::len)..BLANK_LINES {
        lines.push(format!("  {:_<40} ______________________________", ""));
    }
    lines
}

/// Two of four eyes.
const BLANK_LINES: usize = 2;
