//! `mastersign doctor`: everything that can be looked at from here, the worst on top, with what to do
//! about each finding.
//!
//! It changes nothing, and it presents no PIN unless it is told to: a look that costs a try of the
//! token is no look. What it finds comes from the same code that the service and `fetch` run on, so
//! that it cannot call well what they refuse.

mod bundle;
mod finding;
mod hsm;
mod leftovers;
mod master;
mod salt;
mod service;
mod signature;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use self::finding::Level;
use super::Output;
use super::fetch::SettingsArguments;
use crate::config::ConfigArgument;
use crate::terminal;

/// The arguments of `mastersign doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Output,
    /// Also write what a supporter needs into this new file: the findings, versions and
    /// configuration without secrets. Read it before you send it
    #[arg(long, value_name = "FILE", global = true)]
    bundle: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at the signing service on this machine
    Service(ServiceArguments),
    /// Look at the salt-master on this machine and its way to the service
    Master(MasterArguments),
}

#[derive(Debug, clap::Args)]
struct ServiceArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Also log in to each token and make trial signatures, as `hsm test` does: presents each PIN
    /// once
    #[arg(long)]
    login: bool,
}

#[derive(Debug, clap::Args)]
struct MasterArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Also look for signing keys in this directory; can be repeated [default: Salt's directories,
    /// /root and /srv]
    #[arg(long = "search", value_name = "DIR")]
    search: Vec<PathBuf>,
}

/// Runs `mastersign doctor`.
///
/// # Errors
///
/// Fails only if the findings cannot be printed or the bundle cannot be written; what is wrong is
/// found, not failed on.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (finding, configuration) = match arguments.command {
        Command::Service(it) => (
            service::look(&it.config, it.login),
            bundle::of_service(&it.config),
        ),
        Command::Master(it) => {
            let configuration = bundle::of_master(&it.settings);
            (master::look(it.settings, it.search), configuration)
        }
    };
    if let Some(path) = &arguments.bundle {
        bundle::write(path, &finding, configuration)?;
        terminal::note(format_args!(
            "wrote {}; read it before you send it",
            path.display()
        ))?;
    }
    match arguments.output {
        Output::Json => terminal::say(finding.json())?,
        Output::Text => terminal::say(finding.painted().trim_end())?,
    }
    Ok(ExitCode::from(match finding.level() {
        Level::Good | Level::NotJudged => 0,
        Level::Warning => 1,
        Level::Failure => 2,
    }))
}

const EXIT_CODES: &str = "\
Exit codes:
  0   nothing found; what could not be looked at from here is marked \"not judged\"
  1   warnings: it works, and something should be done
  2   failures: something does not work, or is not safe";
