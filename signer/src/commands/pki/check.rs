//! `mastersign pki check`: what is wrong with a certificate file, or with the TLS at host:port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::clock::{Clock, SystemClock};
use crate::commands::Output;
use crate::pki::check::{Certificate, Report, handshake};
use crate::terminal::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A PEM file, or host:port to call
    #[arg(value_name = "FILE|HOST:PORT")]
    target: String,
    /// The authority that should vouch for it; for host:port the service's ca.pem
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client certificate to show to host:port
    #[arg(long, alias = "cert", value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// Its private key; or, for a FILE, the key that should belong to it [default: FILE with the
    /// ending .key]
    #[arg(long, alias = "key", value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let authorities = match &arguments.ca {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let file = Path::new(&arguments.target);
    let report = if file.exists() {
        of_file(arguments, file, authorities.as_deref())?
    } else if arguments.target.contains(':') && !arguments.target.contains('/') {
        let authorities = authorities.context(
            "to check a server, name the authority that it should be known by: --ca ca.pem",
        )?;
        let client = arguments
            .certificate
            .as_deref()
            .zip(arguments.private_key.as_deref());
        let call = handshake::Call {
            address: &arguments.target,
            authorities: &authorities,
            client,
        };
        handshake::check(call, SystemClock.now())?
    } else {
        anyhow::bail!(
            "there is no file {}, and it is no host:port",
            file.display()
        );
    };
    show(&report, arguments.output)?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn of_file(
    arguments: &Arguments,
    file: &Path,
    authorities: Option<&[u8]>,
) -> anyhow::Result<Report> {
    let pem = read(file)?;
    let mut report = Report::of_pem(&pem, authorities, SystemClock.now());
    let beside = Some(file.with_extension("key")).filter(|key| key != file && key.exists());
    if let Some(key) = arguments.private_key.clone().or(beside) {
        report.check_key(&pem, &read(&key)?);
    }
    Ok(report)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

fn show(report: &Report, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        let mut value = serde_json::to_value(report)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("good".to_owned(), report.is_good().into());
        }
        say(value)?;
        return Ok(());
    }
    for certificate in &report.certificates {
        show_certificate(certificate)?;
    }
    for warning in &report.warnings {
        say(format_args!("warning: {warning}"))?;
    }
    for problem in &report.problems {
        say(format_args!("problem: {problem}"))?;
    }
    if report.is_good() {
        say("good")?;
    }
    Ok(())
}

fn show_certificate(certificate: &Certificate) -> anyhow::Result<()> {
    let kind = if certificate.is_authority {
        "authority"
    } else {
        "certificate"
    };
    say(format_args!("{kind}: {}", certificate.subject))?;
    say(format_args!("  issuer     {}", certificate.issuer))?;
    if let Some(identity) = &certificate.identity {
        say(format_args!("  identity   {identity}"))?;
    }
    if !certificate.names.is_empty() {
        say(format_args!(
            "  names      {}",
            certificate.names.join(", ")
        ))?;
    }
    if !certificate.purposes.is_empty() {
        say(format_args!(
            "  purposes   {}",
            certificate.purposes.join(", ")
        ))?;
    }
    say(format_args!("  key        {}", certificate.key))?;
    say(format_args!(
        "  valid      {} to {}",
        certificate.not_before, certificate.not_after
    ))?;
    say(format_args!("  serial     {}", certificate.serial))?;
    say(format_args!("  SHA-256    {}", certificate.sha256))?;
    say(format_args!("  SPKI       {}", certificate.spki_sha256))?;
    Ok(())
}
