//! `mastersign pki init`: makes the authorities.

use std::process::ExitCode;

use super::{Directory, Force, days};
use crate::clock::{Clock, SystemClock};
use crate::pki::{Authority, Error, Existing, Scope};
use crate::terminal::{note, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// Make only this one: service, masters or operators; may be repeated
    #[arg(long = "only", value_name = "AUTHORITY")]
    only: Vec<Scope>,
    /// How long the authorities are valid
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u16).range(1..=10_950))]
    days: u16,
    #[command(flatten)]
    force: Force,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let directory = &arguments.directory.directory;
    let existing = arguments.force.existing();
    let wanted = |scope: &Scope| arguments.only.is_empty() || arguments.only.contains(scope);
    let scopes: Vec<Scope> = Scope::ALL.into_iter().filter(wanted).collect();
    for scope in &scopes {
        let path = directory.join(scope.name()).join("ca.key");
        if existing == Existing::Keep && path.exists() {
            return Err(Error::Exists { path }.into());
        }
    }
    for scope in scopes {
        let folder = directory.join(scope.name());
        let mut authority = Authority::create(scope, days(arguments.days), now)?;
        authority.save(&folder, existing)?;
        let path = folder.join("ca.pem");
        say(format_args!(
            "{scope}: {} (until {})",
            path.display(),
            authority.not_after()
        ))?;
        note(format_args!("  {}", advice(scope)))?;
    }
    Ok(ExitCode::SUCCESS)
}

const fn advice(scope: Scope) -> &'static str {
    match scope {
        Scope::Masters => {
            "the service gets ca.pem as tls.masters_ca; ca.key stays where masters are enrolled"
        }
        Scope::Operators => {
            "the service gets ca.pem as tls.operators_ca; take ca.key off this machine: whoever \
             has it can accept any master"
        }
        Scope::Service => {
            "every client gets ca.pem to know the service by; ca.key is needed only for a new \
             server certificate"
        }
    }
}
