//! `mastersign pki`: the certificates of masters, operators and the service.

mod check;
mod init;
mod issue;
mod list;
mod revoke;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigArgument;
use crate::pki::Existing;

/// The arguments of `mastersign pki`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Whose audit log gets a note of what is made here, if the file exists
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what is wrong with a certificate file, or with the TLS at host:port
    Check(check::Arguments),
    /// Make the authorities: service, masters, operators
    Init(init::Arguments),
    /// Make a certificate for the service, a master or an operator
    Issue(issue::Arguments),
    /// List what the authorities have issued
    List(list::Arguments),
    /// Write an authority's revocation list anew
    Crl(revoke::ListArguments),
    /// Take certificates back, and write the list that tells the service so
    Revoke(revoke::Arguments),
}

/// Runs `mastersign pki`.
///
/// # Errors
///
/// Fails if a file cannot be read or written, or if what was asked for is refused.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Issue(arguments) => issue::run(arguments),
        Command::Crl(arguments) => revoke::list(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Revoke(arguments) => revoke::run(&arguments),
    }
}

/// Where the authorities are.
#[derive(Debug, clap::Args)]
struct Directory {
    /// The folder with the authorities, one folder each: service, masters, operators
    #[arg(
        long = "dir",
        value_name = "DIR",
        default_value = "/etc/mastersign/pki",
        global = true
    )]
    directory: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Force {
    /// Replace files that are there already
    #[arg(long, global = true)]
    force: bool,
}

impl Force {
    const fn existing(&self) -> Existing {
        if self.force {
            Existing::Replace
        } else {
            Existing::Keep
        }
    }
}

fn days(days: u16) -> Duration {
    Duration::from_secs(u64::from(days).saturating_mul(86_400))
}
