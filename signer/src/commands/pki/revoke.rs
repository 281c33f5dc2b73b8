//! `mastersign pki revoke` and `pki crl`: takes certificates back.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::Directory;
use crate::clock::{Clock, SystemClock};
use crate::pki::{Authority, Entry, Scope};
use crate::terminal::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which: a serial number, or an identity like mastersign:master:m-1, of which all that have
    /// not ended are taken back
    #[arg(required = true, value_name = "SERIAL|IDENTITY")]
    certificates: Vec<String>,
    #[command(flatten)]
    directory: Directory,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Of which authority: masters or operators
    authority: Scope,
    #[command(flatten)]
    directory: Directory,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let directory = &arguments.directory.directory;
    let mut found = Vec::new();
    for scope in CLIENTS {
        let entries = Authority::list(&directory.join(scope.name()))?;
        let alive = entries.into_iter().filter(|entry| entry.not_after >= now);
        found.extend(alive.map(|entry| (scope, entry)));
    }
    let mut revoked: Vec<(Scope, Entry)> = Vec::new();
    for wanted in &arguments.certificates {
        let named = |entry: &Entry| entry.serial == *wanted || entry.identity == *wanted;
        let before = revoked.len();
        revoked.extend(found.iter().filter(|(_, entry)| named(entry)).cloned());
        if revoked.len() == before {
            bail!(
                "no certificate that has not ended is {wanted}; `mastersign pki list --dir {}` \
                 shows them",
                directory.display()
            );
        }
    }
    for scope in CLIENTS {
        let of = revoked.iter().filter(|(of, _)| *of == scope);
        let serials: Vec<String> = of.map(|(_, entry)| entry.serial.clone()).collect();
        if serials.is_empty() {
            continue;
        }
        let folder = directory.join(scope.name());
        Authority::load(scope, &folder)?.revoke(&folder, &serials, now)?;
        for (_, entry) in revoked.iter().filter(|(of, _)| *of == scope) {
            say(format_args!("{} revoked: {}", entry.serial, entry.identity))?;
        }
        tell(scope, &folder.join("ca.crl"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the list anew, also if nothing was ever taken back.
pub(super) fn list(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let scope = arguments.authority;
    if !CLIENTS.contains(&scope) {
        bail!("clients of the service look at no list; replace its certificate instead");
    }
    let folder = arguments.directory.directory.join(scope.name());
    let authority = Authority::load(scope, &folder)?;
    let written = authority.write_revocations(&folder, SystemClock.now());
    written.with_context(|| format!("cannot write the list of the {scope} authority"))?;
    tell(scope, &folder.join("ca.crl"))?;
    Ok(ExitCode::SUCCESS)
}

fn tell(scope: Scope, path: &Path) -> std::io::Result<()> {
    say(format_args!(
        "{}: copy it to where `tls.{scope}_crl` of the service points; it counts within seconds, \
         also on connections that are open",
        path.display()
    ))
}

/// Those whose certificates the service checks.
const CLIENTS: [Scope; 2] = [Scope::Masters, Scope::Operators];
