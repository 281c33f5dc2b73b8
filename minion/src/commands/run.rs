//! `mastersign-minion run`: the minion until it is told to stop.
//!
//! As root it reads the configuration, makes what is written to, and then becomes `user`, for good. The first SIGTERM
//! or SIGINT lets jobs under way bring their returns home, the second one ends at once.

mod account;
mod handover;
mod notify;
mod state;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Ended, Identity, Setup, Status};
use crate::cli::{ConfigArgument, LogArguments};
use crate::config::{Config, KeepId, Overrides};
use crate::wire::msgpack::Value;
use crate::{grains, log, pki};

use notify::Supervisor;

/// The arguments of `mastersign-minion run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,

    #[command(flatten)]
    log: LogArguments,
}

/// Runs `mastersign-minion run`.
///
/// # Errors
///
/// Fails if the configuration or the keys cannot be used, or the system refuses a socket.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load(&Overrides::from(&arguments.log))?;
    account::prepare(&config)?;
    let id_kept = config.keep_id.as_ref().map(KeepId::write);
    account::enter(&config)?;
    // Not as root: where the user may write, a link could lead root's lines anywhere.
    log::start(&config.log)?;
    if let Some(Err(error)) = id_kept {
        tracing::warn!(target: "minion::config", "Could not cache minion ID: {error}");
    }
    tell(&config);
    let setup = setup(&config)?;
    let agent = Agent::new(setup)?;
    super::alone(serve(agent, &config))?
}

/// What the configuration says and this minion does not do.
fn tell(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(target: "minion::config", "{warning}");
    }
    if !config.unknown.is_empty() {
        let unknown = config.unknown.join(", ");
        tracing::debug!(target: "minion::config", "options without effect here: {unknown}");
    }
}

fn setup(config: &Config) -> anyhow::Result<Setup> {
    let store = pki::Store::open(&config.pki_dir, &config.master_sign_key_name)?;
    let key = store.identity(config.keysize)?;
    let first = config.masters.first();
    let grains = grains::collect(&grains::Inputs {
        id: &config.id,
        master: first.map_or("", |master| &master.name),
        configured: &config.grains,
    });
    let identity = Identity::new(
        config.id.clone(),
        key,
        config.pki_dir.join("minion.pem"),
        config.algorithms,
        autosign(&config.autosign_grains, &grains),
    )?;
    Ok(Setup {
        finger: config.master_finger,
        hash_type: config.hash_type.clone(),
        network: config.network.clone(),
        publish_port: config.publish_port,
        returns: config.returns,
        publications: config.publish_signing_algorithm,
        jobs_remembered: config.jobs_remembered,
        legacy_start_event: config.start_events,
        tell_grains: true,
        ping_interval: config.ping_interval,
        grains: Arc::new(grains),
        ..Setup::new(
            Arc::new(identity),
            Arc::new(store),
            config.failover.clone(),
            config.masters.clone(),
        )
    })
}

/// The grains that `autosign_grains` names, with their values (Salt 3008.5, `salt/crypt.py`,
/// `AsyncAuth.minion_sign_in_payload`).
fn autosign(names: &[String], grains: &Value) -> Option<Value> {
    let Value::Map(grains) = grains else {
        return None;
    };
    let value = |name: &String| {
        let key = Value::from(name.as_str());
        let found = grains.iter().find(|(grain, _)| *grain == key);
        (key, found.map_or(Value::Nil, |(_, value)| value.clone()))
    };
    (!names.is_empty()).then(|| Value::Map(names.iter().map(value).collect()))
}

async fn serve(agent: Agent, config: &Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("failed to wait for signals")?;
    let supervisor = Supervisor::connect().context("failed to reach the supervisor")?;
    let stop = CancellationToken::new();
    let (status, last) = (agent.status(), agent.status());
    supervisor.ready();
    let told = async {
        signals.next().await;
        supervisor.stopping();
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        ended = agent.run(stop.clone()) => {
            // What stands in the file is then what is so: nothing is connected.
            record(&last.borrow(), config);
            Ok(code(ended))
        }
        () = told => {
            tracing::warn!("told to stop twice; returns under way are lost");
            Ok(ExitCode::FAILURE)
        }
        () = watch(status, config, &supervisor) => Ok(ExitCode::FAILURE),
        () = supervisor.keep_watchdog_quiet() => Ok(ExitCode::FAILURE),
    }
}

/// Writes down and passes on what the agent is doing, as long as it does anything.
async fn watch(mut status: watch::Receiver<Status>, config: &Config, supervisor: &Supervisor) {
    loop {
        {
            let now = status.borrow_and_update();
            supervisor.status(&now);
            record(&now, config);
        }
        if status.changed().await.is_err() {
            // The agent is about to say how it ended.
            return std::future::pending().await;
        }
    }
}

fn record(status: &Status, config: &Config) {
    let mut status = status.clone();
    status.pid = Some(std::process::id());
    if let Err(error) = state::write(&config.state_file, &status) {
        tracing::warn!("{error:#}");
    }
}

fn code(ended: Ended) -> ExitCode {
    match ended {
        Ended::GaveUp(exit) => ExitCode::from(exit.code()),
        Ended::Failed | Ended::NoRandomness => ExitCode::FAILURE,
        Ended::Stopped => ExitCode::SUCCESS,
    }
}

/// What tells the minion to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
