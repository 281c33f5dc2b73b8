//! `mastersign hsm unlatch`: let the service present PINs again that it had stopped presenting.
//!
//! It opens the state as the service does, so it runs while the service does not; the lock on the
//! database says so. Each latch that is lifted is an audit record.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::Output;
use crate::audit::Actor;
use crate::authorize::OperatorsCa;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigArgument};
use crate::hsm::Attempts;
use crate::store::{Sqlite, Store};
use crate::terminal;

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let lifted = runtime.block_on(lift(&config, arguments.serial.as_deref()))?;
    let forgotten = Attempts::new(&config.state_dir)
        .forget()
        .with_context(|| format!("cannot forget logins in {}", config.state_dir.display()))?;
    match output {
        Output::Json => {
            terminal::say(json!({"latches_lifted": lifted, "logins_forgotten": forgotten}))?;
        }
        Output::Text => terminal::say(format_args!(
            "latches lifted: {lifted}, logins of unknown outcome forgotten: {forgotten}; the service \
             presents the configured PIN once more when it starts"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn lift(config: &Config, serial: Option<&str>) -> anyhow::Result<usize> {
    let path = &config.tls.operators_ca;
    let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let operators = Arc::new(OperatorsCa::from_pem(&pem)?);
    let backend = Sqlite::open(&config.store.path)
        .context("cannot open the database; stop the service first")?;
    let clock = Arc::new(SystemClock);
    let store = Store::open(Arc::new(backend), operators, clock, config.store.id).await?;
    let serials: std::collections::BTreeSet<String> = store
        .state()
        .latches()
        .map(|latch| latch.serial.clone())
        .filter(|latched| serial.is_none_or(|serial| serial == latched))
        .collect();
    let actor = Actor {
        identity: format!("local:uid={}", nix::unistd::getuid()),
        certificate: None,
    };
    let mut lifted: usize = 0;
    for serial in serials {
        lifted = lifted.saturating_add(store.unlatch(&serial, &actor).await?);
    }
    store.close().await;
    Ok(lifted)
}
