//! `mastersign hsm-worker`: the process that talks to one HSM.
//!
//! Started by the service, never by a person. It reads the configuration by itself: a service that
//! was taken over must not be the one that tells it which operators to believe, and about which
//! store.

use std::process::ExitCode;

use anyhow::Context;
use hsm_config::Hsm;
use uuid::Uuid;

use crate::anchor;
use crate::authorize::OperatorsCa;
use crate::config::{Config, ConfigArgument};
use crate::hsm::worker::Worker;
use crate::telemetry;

/// The arguments of `mastersign hsm-worker`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The HSM's name in the configuration
    #[arg(long, value_name = "NAME")]
    hsm: String,
    /// What is logged, as for `serve`
    #[arg(long, env = "MASTERSIGN_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// Runs `mastersign hsm-worker`.
///
/// # Errors
///
/// Fails if standard input is not the service's socket; every other failure is told to the service.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let worker = Worker::from_stdin()
        .context("hsm-worker is started by the service, with a socket as its standard input")?;
    // What the vendor's code starts gets no rights that this process has not.
    nix::sys::prctl::set_no_new_privs().context("cannot give up new privileges")?;
    match load(arguments) {
        Ok((hsm, operators, store)) => worker.run(hsm, operators, store)?,
        Err(error) => worker.give_up(&format!("{error:#}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn load(arguments: Arguments) -> anyhow::Result<(Hsm, OperatorsCa, Option<Uuid>)> {
    let Arguments {
        config,
        hsm: name,
        log,
    } = arguments;
    let config = config.load()?;
    telemetry::log(&config.log, log.as_deref())?;
    let operators = operators(&config)?;
    let store = config.store.id;
    let hsm = config
        .hsms
        .into_iter()
        .find(|hsm| hsm.name.as_str() == name)
        .with_context(|| format!("the configuration has no HSM {name:?}"))?;
    Ok((hsm, operators, store))
}

fn operators(config: &Config) -> anyhow::Result<OperatorsCa> {
    let path = &config.tls.operators_ca;
    let pem = anchor::read(path).context("the operators' CA is of no use")?;
    OperatorsCa::from_pem(&pem).with_context(|| format!("{} is of no use", path.display()))
}
