//! `mastersign hsm unlatch`: let the service present PINs again that it had stopped presenting.
//!
//! A service that runs is asked through its control socket and tries at once. Otherwise the state
//! is opened here, as the service does, and the lock on the database keeps a service from starting
//! meanwhile. Each latch that is lifted is an audit record.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::json;

use super::Output;
use crate::anchor;
use crate::audit::Actor;
use crate::authorize::OperatorsCa;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigArgument};
use crate::control::{self, Answer, Request};
use crate::hsm::Attempts;
use crate::store::{Sqlite, Store};
use crate::{server, terminal};

/// The arguments of `mastersign hsm unlatch`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only for the token with this serial number
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
}

/// Lifts the latches and forgets logins of unknown outcome.
pub(super) fn run(arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load()?;
    let serial = arguments.serial.clone();
    let asked = control::ask(&config.state_dir, &Request::Unlatch { serial })?;
    let (lifted, forgotten, when) = match asked {
        Some(Answer::Unlatched {
            latches_lifted,
            logins_forgotten,
        }) => (latches_lifted, logins_forgotten, NOW),
        Some(Answer::Refused { why }) => bail!("the service refused: {why}"),
        Some(Answer::Unlocked { .. }) => bail!("the service answered another question"),
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            let lifted = runtime.block_on(lift(&config, arguments.serial.as_deref()))?;
            let forgotten = Attempts::new(&config.state_dir).forget().with_context(|| {
                format!("cannot forget logins in {}", config.state_dir.display())
            })?;
            (lifted, forgotten, LATER)
        }
    };
    match output {
        Output::Json => {
            terminal::say(json!({"latches_lifted": lifted, "logins_forgotten": forgotten}))?;
        }
        Output::Text => terminal::say(format_args!(
            "latches lifted: {lifted}, logins of unknown outcome forgotten: {forgotten}; {when}"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn lift(config: &Config, serial: Option<&str>) -> anyhow::Result<usize> {
    let pem = anchor::read(&config.tls.operators_ca)?;
    let operators = Arc::new(OperatorsCa::from_pem(&pem)?);
    let backend = Sqlite::open(&config.store.path)
        .context("cannot open the database, and no service answers at its control socket")?;
    let clock = Arc::new(SystemClock);
    let store = Store::open(Arc::new(backend), operators, clock, config.store.id).await?;
    let heads = server::tell_heads(config, &store);
    let actor = Actor::local(nix::unistd::getuid().as_raw());
    let lifted = store.unlatch_all(serial, &actor).await;
    store.close().await;
    if let Some(problem) = heads.finish().await {
        terminal::note(problem)?;
    }
    Ok(lifted?)
}

const NOW: &str = "the service presents the PIN of each HSM that it had stopped for once more";
const LATER: &str = "the service presents the configured PIN once more when it starts";
