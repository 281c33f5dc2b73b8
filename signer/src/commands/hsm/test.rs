//! `mastersign hsm test`: would the service start on this HSM?
//!
//! The checks are those of a worker's start, in its order, and each needs the one before it. The
//! only thing that is signed is the signing key's own public half: a signature over anything else
//! would be a forgery for the whole fleet.

use std::process::ExitCode;

use anyhow::ensure;
use minion::verify::Algorithm;
use serde_json::{Value, json};

use super::secrets::Secrets;
use super::target::{self, Target};
use super::{Output, attributes, inside};
use crate::hsm::token::{self, SigningKey};
use crate::terminal;

/// The arguments of `mastersign hsm test`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,

    /// Log in even if the token says that a wrong PIN was presented lately; one more wrong PIN may
    /// lock it
    #[arg(long)]
    force_login: bool,
}

/// Reads PINs and starts a child for each HSM.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for target in arguments.target.targets()? {
        let ended = inside::run_with_pin(&target, &arguments.target)?;
        if ended != ExitCode::SUCCESS {
            code = ended;
        }
    }
    Ok(code)
}

/// Tests one HSM.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let mut report = Report {
        output,
        passed: Vec::new(),
    };
    let result = checks(&mut report, &target, secrets, arguments.force_login);
    if output == Output::Json {
        let key = result.as_ref().ok();
        terminal::say(json!({
            "hsm": target.name,
            "ok": result.is_ok(),
            "passed": report.passed,
            "failed": result.as_ref().err().map(|error| format!("{error:#}")),
            "key": key.map(attributes::key_json),
        }))?;
    }
    match result {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(_) if output == Output::Json => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.context(match &target.name {
            Some(name) => format!("{name} cannot sign"),
            None => "it cannot sign".to_owned(),
        })),
    }
}

/// What has been checked so far; in text, each line is shown at once, so that a hang shows where.
struct Report {
    output: Output,
    passed: Vec<Value>,
}

impl Report {
    fn pass(&mut self, check: &str, detail: &str) -> anyhow::Result<()> {
        self.passed.push(json!({"check": check, "detail": detail}));
        if self.output == Output::Text {
            terminal::say(format_args!("ok    {check:<12} {detail}"))?;
        }
        Ok(())
    }

    fn warn(&mut self, check: &str, detail: &str) -> anyhow::Result<()> {
        self.passed
            .push(json!({"check": check, "detail": detail, "warning": true}));
        if self.output == Output::Text {
            terminal::say(format_args!("warn  {check:<12} {detail}"))?;
        }
        Ok(())
    }
}

fn checks(
    report: &mut Report,
    target: &Target,
    secrets: &Secrets,
    force_login: bool,
) -> anyhow::Result<SigningKey> {
    let module = inside::load(target)?;
    report.pass("module", &module.path().display().to_string())?;
    let token = inside::find(&module, target)?;
    report.pass("token", &token.to_string())?;
    ensure!(
        force_login || !token.pin_count_low,
        "a wrong PIN was presented to the token {token} since the last right one, so none was \
         presented now: another wrong one may lock it; --force-login presents it all the same"
    );
    let keeper = module.open_session(&token)?;
    inside::login(&keeper, &token, secrets, target)?;
    report.pass("login", "the PIN was accepted")?;
    let key = keeper
        .find_key(&target.key()?)
        .map_err(|error| inside::explain(error, target))?;
    let size = format!("RSA-{} {}", key.public.bits(), key.public.hash());
    report.pass("key", &size)?;
    match &target.public_key {
        Some(path) => {
            token::check_pinned(&key, &token::read_trusted(path)?, path)?;
            report.pass("public key", &format!("equals {}", path.display()))?;
        }
        None => report.warn(
            "public key",
            "none is pinned: set public_key, so that another key under this id is noticed",
        )?,
    }
    let doubts = key.admit(target.never_extractable)?;
    if doubts.is_empty() {
        report.pass("attributes", &key.attributes.verdict().to_string())?;
    } else {
        report.warn("attributes", &key.attributes.verdict().to_string())?;
    }
    for algorithm in Algorithm::ALL {
        inside::trial(&module, &token, &key, target.mechanism, algorithm)
            .map_err(|error| inside::explain(error, target))?;
        report.pass(
            "signature",
            &format!("{algorithm} over its own public half, verified"),
        )?;
    }
    keeper.close()?;
    module.finalize()?;
    Ok(key)
}
