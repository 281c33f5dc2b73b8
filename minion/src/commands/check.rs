//! `mastersign-minion check`: whether each master verifies, with the minion's own key.
//!
//! Nothing is written on this host but the file of `--textfile`. The masters see a sign-in like any
//! other.

mod report;
mod textfile;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Output;
use crate::agent::{self, Identity, Setup, Verdict};
use crate::cli::ConfigArgument;
use crate::config::{Config, Master, Overrides};
use crate::{pki, terminal};

/// The arguments of `mastersign-minion check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,

    /// Write the answer into this file as well, for the textfile collector of Prometheus'
    /// `node_exporter`
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

/// Runs `mastersign-minion check`.
///
/// # Errors
///
/// Fails if the configuration or the keys cannot be used; what was found about the masters is the
/// exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load(&Overrides::default())?;
    for warning in &config.warnings {
        terminal::note(format_args!("note: {warning}"))?;
    }
    let setup = setup(&config)?;
    let verdicts = super::alone(examine(setup, config.masters.clone()))??;
    match arguments.output {
        Output::Text => report::lines(&verdicts)
            .iter()
            .try_for_each(terminal::say)?,
        Output::Json => terminal::say(report::document(config.id.as_str(), &verdicts))?,
    }
    if let Some(path) = &arguments.textfile {
        let now = jiff::Timestamp::now().as_second();
        textfile::write(path, &textfile::content(&verdicts, now))?;
    }
    Ok(ExitCode::from(report::code(&verdicts)))
}

/// A master and what was found.
type Checked = (Master, Verdict);

fn setup(config: &Config) -> anyhow::Result<Setup> {
    let store = pki::Store::open(&config.pki_dir, &config.master_sign_key_name)?;
    let key = store.existing_identity()?;
    // Each sign-in reads them again; an error here is one error and not one for each master.
    store.signing_keys()?;
    store.revoked()?;
    let identity = Identity::new(
        config.id.clone(),
        key,
        config.pki_dir.join("minion.pem"),
        config.algorithms,
        // Grains could make a master accept a minion that nobody accepted, and this is only a look.
        None,
    )?;
    Ok(Setup {
        finger: config.master_finger,
        network: config.network.clone(),
        ..Setup::new(
            Arc::new(identity),
            Arc::new(store),
            config.failover.clone(),
            config.masters.clone(),
        )
    })
}

/// Looks at all masters at once; the answers come in the order of the configuration.
async fn examine(setup: Setup, masters: Vec<Master>) -> anyhow::Result<Vec<Checked>> {
    let setup = Arc::new(setup);
    let mut looks = JoinSet::new();
    for (position, master) in masters.into_iter().enumerate() {
        let setup = Arc::clone(&setup);
        looks.spawn(async move {
            let verdict = agent::examine(&setup, &master).await;
            (position, (master, verdict))
        });
    }
    let mut found = looks.join_all().await;
    found.sort_by_key(|(position, _)| *position);
    Ok(found.into_iter().map(|(_, checked)| checked).collect())
}

const EXIT_CODES: &str = "\
The masters see a sign-in: one that has never seen this minion's key stores it for an operator to accept.

Exit codes, the first that applies to any master:
  1   the configuration or the minion's own keys cannot be used
  42  a master does not verify: minions leave it alone
  77  cannot judge: a master has not accepted this minion, and only accepted minions are shown a signature
  69  a master cannot be reached
  0   every master verifies";
