//! `mastersign hsm unlock`: a PIN for a service that has none, from a person at its machine.
//!
//! A PIN source that a machine can read by itself after a power cut can be read by whoever carries
//! the machine away. Without one the service starts locked, serves what is stored, and waits here.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use hsm_config::{Hsm, PinSource};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Output;
use super::secrets;
use crate::config::{Config, ConfigArgument};
use crate::control::{self, Answer, Request};
use crate::hsm::{State, pin};
use crate::terminal;

/// The arguments of `mastersign hsm unlock`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The name of a [[hsm]] section; may be left out if there is one only
    #[arg(long, value_name = "NAME")]
    hsm: Option<String>,
    /// The file with the PIN, mode 0400; without it the terminal is asked
    #[arg(long, value_name = "FILE", conflicts_with = "pin_stdin")]
    pin_file: Option<PathBuf>,
    /// Read the PIN from standard input: `systemd-ask-password | mastersign hsm unlock --pin-stdin`
    #[arg(long)]
    pin_stdin: bool,
    /// Present it even if the token says that a wrong PIN was presented lately; one more wrong PIN
    /// may lock the token
    #[arg(long)]
    force: bool,
}

/// Hands the PIN over and tells what became of it.
pub(super) fn run(arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let config = arguments.config.load()?;
    let hsm = chosen(&config, arguments.hsm.as_deref())?;
    let pin = read(arguments)?;
    if let Some(profile) = &hsm.profile {
        profile
            .pin
            .check(pin.expose_secret())
            .with_context(|| format!("this is no PIN of {}", profile.title))?;
    }
    let request = Request::Unlock {
        hsm: Some(hsm.name.to_string()),
        pin,
        force: arguments.force,
    };
    let answer = control::ask(&config.state_dir, &request)?;
    let (name, state, detail) = match answer {
        Some(Answer::Unlocked { hsm, state, detail }) => (hsm, state, detail),
        Some(Answer::Refused { why }) => bail!("the service refused: {why}"),
        Some(Answer::Unlatched { .. }) => bail!("the service answered another question"),
        None => bail!(
            "no service listens in {}; is it running, and is this its configuration?",
            config.state_dir.display()
        ),
    };
    let unlocked = state == State::Ready;
    match output {
        Output::Json => terminal::say(json!({"hsm": name, "state": state, "detail": detail}))?,
        Output::Text if unlocked => terminal::say(format_args!("{name} is unlocked: {detail}"))?,
        Output::Text => {
            terminal::refuse(format_args!("{name} is not unlocked: {detail}"))?;
        }
    }
    Ok(if unlocked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The HSM is chosen before the PIN is asked for: nobody types a PIN for nothing.
fn chosen<'a>(config: &'a Config, wanted: Option<&str>) -> anyhow::Result<&'a Hsm> {
    let names: Vec<&str> = config.hsms.iter().map(|hsm| hsm.name.as_str()).collect();
    let names = names.join(", ");
    match (wanted, config.hsms.as_slice()) {
        (Some(wanted), hsms) => hsms
            .iter()
            .find(|hsm| hsm.name.as_str() == wanted)
            .with_context(|| format!("there is no [[hsm]] section {wanted:?}; there are: {names}")),
        (None, [only]) => Ok(only),
        (None, several) => {
            ensure!(!several.is_empty(), "there is no [[hsm]] section");
            bail!("name one of the HSMs with --hsm: {names}")
        }
    }
}

fn read(arguments: &Arguments) -> anyhow::Result<SecretString> {
    if arguments.pin_stdin {
        return Ok(pin::from_reader(std::io::stdin().lock())?);
    }
    match &arguments.pin_file {
        Some(path) => Ok(pin::read(&PinSource::File { path: path.clone() })?),
        None => secrets::ask("PIN"),
    }
}

const EXIT_CODES: &str = "\
The service presents the PIN once. One that the token refused before is not presented again; see `hsm unlatch`.

Exit codes:
  0   the HSM signs
  1   it does not; the message says why
  2   wrong usage";
