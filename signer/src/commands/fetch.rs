//! `mastersign fetch`, on a master.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::{Output, input};
use crate::authorize::MasterId;
use crate::client::SignatureDocument;
use crate::clock::SystemClock;
use crate::fetch::settings::Partial;
use crate::fetch::{Fetch, Outcome, Prepared};
use crate::terminal;

/// The arguments of `mastersign fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Ask again while the key is pending or the service is away, at most this long, like 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Take the signature from a file that `mastersign sign` wrote, instead of asking the service
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wait", "dry_run"])]
    from: Option<PathBuf>,
    /// Check everything and say what would be asked and written; changes nothing, here or in the
    /// service
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Where the service is, who we are to it, and where Salt's files are.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SettingsArguments {
    /// The service: https://HOST:PORT
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The CA that vouches for the service, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// This master's client certificate, PEM
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The private key of the client certificate, PEM
    #[arg(long, alias = "key", value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// The pinned public half of the signing key: what the answer must verify under
    #[arg(long, value_name = "FILE")]
    master_sign_pub: Option<PathBuf>,
    /// The directory with Salt's `master` file [default: /etc/salt]
    #[arg(long, value_name = "DIR")]
    salt_config: Option<PathBuf>,
    /// PKCS1v15-SHA1 or PKCS1v15-SHA224 [default: the service's setting for this master]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// TOML with the values above, for those that are not given [default:
    /// /etc/mastersign/fetch.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `mastersign fetch`.
///
/// # Errors
///
/// Whatever kept the signature from being fetched, except a pending key and an answer that does not
/// verify, which have exit codes of their own.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (wait, dry_run, output) = (arguments.wait, arguments.dry_run, arguments.output);
    let partial = arguments.settings.partial()?;
    // Before privileges go: the file may be root's alone.
    let answer = arguments.from.as_deref().map(read_answer).transpose()?;
    let settings = match answer {
        Some(_) => partial.complete_without_service()?,
        None => partial.complete()?,
    };
    let fetch = Prepared::read(settings)?.enter()?;
    for warning in fetch.warnings() {
        terminal::note(format_args!("warning: {warning}"))?;
    }
    let outcome = if let Some(answer) = &answer {
        fetch.take(answer)
    } else if dry_run {
        fetch.dry_run()
    } else {
        fetch.run(wait, &SystemClock, |master| {
            // Nobody is left to tell if standard error is closed.
            let _ = terminal::note(format_args!(
                "waiting for an operator to accept this key:\n\n    {}\n",
                acceptance(&fetch, master)
            ));
        })
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_mismatch() => Outcome::Mismatch {
            why: error.to_string(),
        },
        Err(error) => return Err(error.into()),
    };
    match output {
        Output::Json => terminal::say(document(&fetch, &outcome))?,
        Output::Text => tell(&fetch, &outcome)?,
    }
    Ok(ExitCode::from(code(&outcome)))
}

fn read_answer(path: &Path) -> anyhow::Result<SignatureDocument> {
    let text = input::text(path, input::DOCUMENT)?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no answer of `mastersign sign`", path.display()))
}

impl SettingsArguments {
    /// The values of the line, and those of the file where the line has none.
    pub(super) fn partial(self) -> anyhow::Result<Partial> {
        let line = Partial {
            url: self.url,
            ca: self.ca,
            certificate: self.certificate,
            key: self.private_key,
            master_sign_pub: self.master_sign_pub,
            salt_config: self.salt_config,
            algorithm: self.algorithm,
        };
        let default = PathBuf::from(DEFAULT_CONFIG);
        let file = self.config.or_else(|| default.exists().then_some(default));
        let below = match file {
            Some(path) => Partial::read(&path).context("failed to read the settings of fetch")?,
            None => Partial::default(),
        };
        Ok(line.over(below))
    }
}

fn tell(fetch: &Fetch, outcome: &Outcome) -> anyhow::Result<()> {
    let file = fetch.file();
    let file = file.display();
    let key = fetch.key().hash();
    match outcome {
        Outcome::Written { algorithm } => {
            terminal::say(format_args!("wrote {file} ({algorithm}, key {key})"))?;
        }
        Outcome::Unchanged { algorithm } => {
            terminal::say(format_args!("unchanged: {file} ({algorithm}, key {key})"))?;
        }
        Outcome::WouldWrite { algorithm } => {
            terminal::say(format_args!("would write {file} ({algorithm}, key {key})"))?;
        }
        Outcome::WouldAsk => terminal::say(format_args!(
            "would ask for a signature of key {key} and write it to {file}; none was made yet"
        ))?,
        Outcome::Pending { master } => terminal::say(format_args!(
            "pending: an operator has to accept this key first, after comparing it:\n\n    {}\n\nThen run this command \
             again, or use --wait.",
            acceptance(fetch, master)
        ))?,
        Outcome::Mismatch { why } => terminal::refuse(format_args!(
            "verification failed, nothing was written: {why}"
        ))?,
    }
    if matches!(
        outcome,
        Outcome::Written { .. } | Outcome::Unchanged { .. } | Outcome::WouldWrite { .. }
    ) {
        next_steps(fetch, outcome)?;
    }
    Ok(())
}

/// What the operator runs.
fn acceptance(fetch: &Fetch, master: &MasterId) -> String {
    format!(
        "mastersign masters accept {master} --key {}",
        fetch.key().hash()
    )
}

fn next_steps(fetch: &Fetch, outcome: &Outcome) -> anyhow::Result<()> {
    let lines = fetch.missing_lines();
    if !lines.is_empty() {
        terminal::say(
            "\nsalt-master does not serve this file yet. Put into master.d/50-mastersign.conf:\n",
        )?;
        for line in lines {
            terminal::say(format_args!("    {line}"))?;
        }
    }
    if matches!(outcome, Outcome::Written { .. }) {
        terminal::say("\nsalt-master reads the file when it starts: restart it.")?;
    }
    Ok(())
}

fn document(fetch: &Fetch, outcome: &Outcome) -> serde_json::Value {
    let (result, algorithm) = match outcome {
        Outcome::Mismatch { .. } => ("mismatch", None),
        Outcome::Pending { .. } => ("pending", None),
        Outcome::Unchanged { algorithm } => ("unchanged", Some(algorithm)),
        Outcome::WouldAsk => ("would_ask", None),
        Outcome::WouldWrite { algorithm } => ("would_write", Some(algorithm)),
        Outcome::Written { algorithm } => ("written", Some(algorithm)),
    };
    let mut document = json!({
        "result": result,
        "file": fetch.file(),
        "public_key_sha256": fetch.key().hash().to_string(),
        "algorithm": algorithm.map(|algorithm| algorithm.name()),
        "warnings": fetch.warnings(),
        "missing_salt_options": fetch.missing_lines(),
    });
    if let Some(object) = document.as_object_mut() {
        match outcome {
            Outcome::Mismatch { why } => {
                object.insert("reason".to_owned(), json!(why));
            }
            Outcome::Pending { master } => {
                object.insert("master".to_owned(), json!(master));
            }
            Outcome::Unchanged { .. }
            | Outcome::WouldAsk
            | Outcome::WouldWrite { .. }
            | Outcome::Written { .. } => {}
        }
    }
    document
}

const fn code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Mismatch { .. } => 42,
        Outcome::Pending { .. } => 3,
        Outcome::Unchanged { .. }
        | Outcome::WouldAsk
        | Outcome::WouldWrite { .. }
        | Outcome::Written { .. } => 0,
    }
}

const DEFAULT_CONFIG: &str = "/etc/mastersign/fetch.toml";

const EXIT_CODES: &str = "\
Started as root, it reads its own files first and then becomes the owner of Salt's pki_dir for good.

Exit codes:
  0   the file is there and verified (or, with --dry-run, nothing stands in the way)
  1   failed; nothing was written
  2   wrong usage
  3   pending: an operator has to accept the key
  42  what the service sent does not verify under --master-sign-pub; nothing was written";
