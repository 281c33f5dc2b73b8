//! `mastersign pki issue`: makes a certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{Directory, Force, days};
use crate::authorize::{Identity, MasterId, OperatorRole};
use crate::clock::{Clock, SystemClock};
use crate::commands::Output;
use crate::pki::{
    Authority, Entry, Existing, Host, Profile, Request, make_folder, write_private, write_public,
};
use crate::terminal::{note, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    whom: Whom,
    #[command(flatten)]
    directory: Directory,
    /// Where the files go: NAME.pem, NAME.key, and ca.pem to know the service by
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    out: PathBuf,
    /// Certify the key in this PKCS#10 request; its private key stays where it is, and its names
    /// are not read
    #[arg(long, value_name = "FILE", global = true)]
    csr: Option<PathBuf>,
    /// How long the certificate is valid [default: 90 for people, 365 for machines]
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: Option<u16>,
    #[command(flatten)]
    force: Force,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Whom {
    /// A person who decides about masters and keys
    Admin {
        /// Their name: A-Z, a-z, 0-9, dot, underscore and hyphen
        name: String,
    },
    /// A person or tool that reads the audit log
    Auditor {
        /// Their name
        name: String,
    },
    /// A Salt master
    Master {
        /// Under which it is accepted; need not equal Salt's id
        id: MasterId,
    },
    /// A tool that reads metrics
    Metrics {
        /// Its name
        name: String,
    },
    /// The signing service itself
    Server {
        /// A DNS name or IP address by which it is called; may be repeated
        #[arg(long = "host", required = true, value_name = "HOST")]
        hosts: Vec<Host>,
    },
}

impl Whom {
    fn profile(self) -> anyhow::Result<Profile> {
        let operator = |role: OperatorRole, name: &str| {
            format!("mastersign:{}:{name}", role.name())
                .parse()
                .map(Profile::Client)
        };
        Ok(match self {
            Self::Admin { name } => operator(OperatorRole::Admin, &name)?,
            Self::Auditor { name } => operator(OperatorRole::Auditor, &name)?,
            Self::Master { id } => Profile::Client(Identity::Master(id)),
            Self::Metrics { name } => operator(OperatorRole::Metrics, &name)?,
            Self::Server { hosts } => Profile::Server(hosts),
        })
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let profile = arguments.whom.profile()?;
    let scope = profile.scope();
    let authorities = &arguments.directory.directory;
    let authority = Authority::load(scope, &authorities.join(scope.name()))?;
    let validity = days(arguments.days.unwrap_or_else(|| default_days(&profile)));
    let existing = arguments.force.existing();
    let files = Files::new(&arguments.out, &stem(&profile));
    make_folder(&arguments.out)?;
    files.refuse_if_there(existing, arguments.csr.is_some())?;

    let entry = if let Some(path) = &arguments.csr {
        let pem = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let request = Request::from_pem(&pem)?;
        let (certificate, entry) = authority.certify(&profile, &request, validity, now)?;
        write_public(&files.certificate, &certificate, existing)?;
        entry
    } else {
        let issued = authority.issue(&profile, validity, now)?;
        write_private(&files.key, &issued.key_pem, existing)?;
        write_public(&files.certificate, &issued.certificate_pem, existing)?;
        issued.entry
    };
    hand_over_service_ca(
        &authorities.join("service/ca.pem"),
        &arguments.out,
        &profile,
    )?;
    report(&files, &entry, arguments.csr.is_some(), arguments.output)?;
    Ok(ExitCode::SUCCESS)
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(out: &Path, stem: &str) -> Self {
        Self {
            certificate: out.join(format!("{stem}.pem")),
            key: out.join(format!("{stem}.key")),
        }
    }

    /// Before a certificate is made that could then not be written.
    fn refuse_if_there(&self, existing: Existing, has_request: bool) -> anyhow::Result<()> {
        let key = Some(&self.key).filter(|_| !has_request);
        for path in key.into_iter().chain([&self.certificate]) {
            if existing == Existing::Keep && path.exists() {
                anyhow::bail!(
                    "{} exists; nothing was issued (--force replaces it)",
                    path.display()
                );
            }
        }
        Ok(())
    }
}

/// Puts the service's CA certificate beside a client's, if it is at hand and not there.
fn hand_over_service_ca(ca: &Path, out: &Path, profile: &Profile) -> anyhow::Result<()> {
    let target = out.join("ca.pem");
    match (profile, fs::read_to_string(ca)) {
        (Profile::Server(_), _) => {}
        (Profile::Client(_), Ok(pem)) => match fs::read_to_string(&target) {
            Ok(there) if there == pem => {}
            Ok(_) => note(format_args!(
                "{} is another service's; this client needs {} to know the service by",
                target.display(),
                ca.display()
            ))?,
            Err(_) => write_public(&target, &pem, Existing::Keep)?,
        },
        (Profile::Client(_), Err(_)) => note(format_args!(
            "this client needs the service authority's ca.pem as well; it is not here ({})",
            ca.display()
        ))?,
    }
    Ok(())
}

fn report(files: &Files, entry: &Entry, has_request: bool, output: Output) -> anyhow::Result<()> {
    let key = Some(&files.key).filter(|_| !has_request);
    if output == Output::Json {
        say(serde_json::json!({
            "certificate": files.certificate,
            "key": key,
            "serial": entry.serial,
            "identity": entry.identity,
            "spki_sha256": entry.spki_sha256,
            "not_before": entry.not_before,
            "not_after": entry.not_after,
        }))?;
        return Ok(());
    }
    say(format_args!("certificate: {}", files.certificate.display()))?;
    if let Some(key) = key {
        say(format_args!(
            "key:         {} (only its owner can read it)",
            key.display()
        ))?;
    }
    say(format_args!("identity:    {}", entry.identity))?;
    say(format_args!("valid until: {}", entry.not_after))?;
    Ok(())
}

fn stem(profile: &Profile) -> String {
    match profile {
        Profile::Client(Identity::Master(id)) => format!("master-{id}"),
        Profile::Client(Identity::Operator { role, name }) => format!("{}-{name}", role.name()),
        Profile::Server(_) => "server".to_owned(),
    }
}

/// People change, so their certificates end sooner; what they signed while valid goes on counting.
const fn default_days(profile: &Profile) -> u16 {
    match profile {
        Profile::Client(Identity::Operator {
            role: OperatorRole::Admin | OperatorRole::Auditor,
            ..
        }) => 90,
        Profile::Client(_) | Profile::Server(_) => 365,
    }
}
