//! `mastersign hsm init`: a signing key that was never anywhere else.
//!
//! Everything that can be refused is refused before the key is made, the file for the public half
//! included: a key whose public half got lost on the way, or that nobody meant to make, has to be
//! deleted by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use hsm_config::PinSource;
use minion::verify::{Algorithm, Fingerprint};
use serde_json::json;

use super::backup::Backup;
use super::reserved::Reserved;
use super::secrets::{self, Secrets};
use super::section::section;
use super::target::{self, Target};
use super::{Output, attributes, inside};
use crate::hsm::token::{Generated, KeyPlan, Module, TokenInfo};
use crate::terminal::{self, Progress};

/// The arguments of `mastersign hsm init`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// The size of the key
    #[arg(long, value_name = "2048|3072|4096", default_value = "3072", value_parser = bits)]
    bits: u32,
    /// How the key is backed up; asked for at a terminal
    #[arg(long, value_enum)]
    backup: Option<Backup>,
    /// Where the public half is written; the file must not exist
    #[arg(long, value_name = "FILE", default_value = "master_sign.pub")]
    out: PathBuf,
    /// Make the token first, in an uninitialised slot, and set its PIN
    #[arg(long)]
    init_token: bool,
    /// With --init-token: which of several uninitialised slots
    #[arg(long, value_name = "NUMBER", requires = "init_token")]
    slot: Option<u64>,
    /// With --init-token: the file with the security officer's new PIN, mode 0400
    #[arg(long, value_name = "FILE", requires = "init_token")]
    so_pin_file: Option<PathBuf>,
}

/// Asks what has to be asked, and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let token = target.token()?;
    ensure!(
        !arguments.init_token || token.label.is_some(),
        "name the token that is to be made with --token-label"
    );
    ensure!(
        !fs::exists(&arguments.out).unwrap_or(true),
        "{} exists already; name another file with --out",
        arguments.out.display()
    );
    if let Some(profile) = &target.profile
        && let Some(limit) = profile.rsa_max_bits
    {
        ensure!(
            arguments.bits <= limit,
            "{} makes no RSA keys above {limit} bits; choose with --bits",
            profile.title
        );
    }
    let mut more = target.more(&arguments.target);
    if arguments.backup.is_none() {
        more.extend(["--backup".to_owned(), Backup::ask()?.word().to_owned()]);
    }
    let secrets = if arguments.init_token {
        let so_source = match &arguments.so_pin_file {
            Some(path) => PinSource::File {
                path: std::path::absolute(path).context("failed to make --so-pin-file absolute")?,
            },
            None => PinSource::Prompt,
        };
        let pin = secrets::read_new_pin(&target.pin, "PIN")?;
        secrets::check_form(&pin, &target)?;
        Secrets {
            so_pin: Some(secrets::read_new_pin(&so_source, "security officer's PIN")?),
            pin: Some(pin),
            ..Secrets::default()
        }
    } else {
        Secrets {
            pin: Some(secrets::read_pin(&target)?),
            ..Secrets::default()
        }
    };
    inside::run(&target.module, &secrets, &more)
}

/// Makes the key.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let backup = arguments.backup.context("--backup is missing")?;
    let module = inside::load(&target)?;
    let token = if arguments.init_token {
        make_token(arguments, &target, &module, secrets)?
    } else {
        inside::find(&module, &target)?
    };
    let keeper = module.open_write_session(&token)?;
    inside::login(&keeper, &token, secrets, &target)?;
    let file = Reserved::create(&arguments.out)?;
    let plan = plan(arguments, &target, backup)?;
    // A smart card takes minutes for 4096 bits.
    let making = Progress::open_ended(format!(
        "making an RSA-{} key inside the token",
        arguments.bits
    ));
    let made = keeper.generate(&plan);
    drop(making);
    let made = made.map_err(|error| inside::explain(error, &target))?;
    let trials = Algorithm::ALL.map(|algorithm| {
        let trial = inside::trial(&module, &token, &made.key, target.mechanism, algorithm);
        (algorithm, trial.map_err(|error| error.to_string()).err())
    });
    let file = file.write(&made.key.public.to_file())?;
    let answer = Answer {
        target: &target,
        module: &module,
        token: &token,
        made: &made,
        trials: &trials,
        file: &file,
        backup,
    };
    match output {
        Output::Json => answer.json()?,
        Output::Text => answer.text()?,
    }
    if target.name.is_some()
        && let Err(error) = made.key.admit(target.never_extractable)
    {
        terminal::note(format_args!(
            "note: as it is configured, the service refuses this key: {error}; set \
             require_never_extractable = \
             \"warn\" if that is acceptable"
        ))?;
    }
    keeper.close()?;
    module.finalize()?;
    if trials.iter().any(|(_, failure)| failure.is_some()) {
        bail!(
            "the key was made, but the service cannot use it: a trial signature failed; \
             sign_mechanism may help, or \
             delete the key with the vendor's tool"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(arguments: &Arguments, target: &Target, backup: Backup) -> anyhow::Result<KeyPlan> {
    target.plan(arguments.bits, backup.custody())
}

fn make_token(
    arguments: &Arguments,
    target: &Target,
    module: &Module,
    secrets: &Secrets,
) -> anyhow::Result<TokenInfo> {
    let label = target.token()?.label.as_deref().unwrap_or_default();
    let tokens = module.tokens()?;
    let mut free = tokens.iter().filter(|token| match arguments.slot {
        Some(slot) => token.slot.id() == slot,
        None => !token.initialized,
    });
    let slot = match (free.next(), free.next()) {
        (Some(only), None) => only,
        (Some(_), Some(_)) => bail!(
            "there are several uninitialised slots; `mastersign hsm list --output json` shows \
             their numbers, name one \
             with --slot"
        ),
        (None, _) => bail!(
            "there is no uninitialised slot to make the token {label:?} in; the module has: {}",
            tokens
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        ),
    };
    module
        .init_token(slot, label, secrets.so_pin()?, secrets.pin()?)
        .map_err(|error| inside::explain(error, target))
}

/// Everything that is worth telling about the new key.
struct Answer<'a> {
    target: &'a Target,
    module: &'a Module,
    token: &'a TokenInfo,
    made: &'a Generated,
    trials: &'a [(Algorithm, Option<String>)],
    file: &'a Path,
    backup: Backup,
}

impl Answer<'_> {
    fn section(&self) -> String {
        let uri = attributes::key_uri(self.token, &self.made.key, self.module.path());
        let verdict = self.made.key.attributes.verdict();
        section(self.target, &self.token.label, &uri, self.file, &verdict)
    }

    fn dropped(&self) -> Vec<String> {
        self.made.dropped.iter().map(ToString::to_string).collect()
    }

    fn json(&self) -> anyhow::Result<()> {
        let trials: serde_json::Map<_, _> = self
            .trials
            .iter()
            .map(|(algorithm, failure)| {
                let outcome = failure.as_deref().unwrap_or("verified");
                (algorithm.to_string(), json!(outcome))
            })
            .collect();
        let key = &self.made.key;
        terminal::say(json!({
            "token": attributes::token_json(self.token),
            "key": attributes::key_json(key),
            "dropped": self.dropped(),
            "trial_signatures": trials,
            "uri": attributes::key_uri(self.token, key, self.module.path()).to_string(),
            "public_key_file": self.file,
            "section": self.section(),
            "backup": self.backup.word(),
        }))?;
        Ok(())
    }

    fn text(&self) -> anyhow::Result<()> {
        let key = &self.made.key;
        let id = key.id.as_ref().map(ToString::to_string).unwrap_or_default();
        terminal::say(format_args!(
            "Generated an RSA-{} key in the token {}.\n  id: {id}\n  label: {:?}",
            key.public.bits(),
            self.token,
            key.label
        ))?;
        for line in attributes::attributes_lines(&key.attributes) {
            terminal::say(format_args!("  {line}"))?;
        }
        if !self.made.dropped.is_empty() {
            terminal::say(format_args!(
                "  not set, because the module refuses them: {}",
                self.dropped().join(" ")
            ))?;
        }
        terminal::say(format_args!("  verdict: {}", key.attributes.verdict()))?;
        for (algorithm, failure) in self.trials {
            let outcome = failure.as_deref().unwrap_or("verified");
            terminal::say(format_args!(
                "  trial signature {algorithm} over its own public half: {outcome}"
            ))?;
        }
        terminal::say(format_args!(
            "\nIts public half is in {}; minions get it as /etc/salt/pki/minion/master_sign.pub.\n  \
             sha256: {}\n  \
             Salt's fingerprint: {}",
            self.file.display(),
            key.public.hash(),
            Fingerprint::salt(&key.public)
        ))?;
        let uri = attributes::key_uri(self.token, key, self.module.path());
        terminal::say(format_args!("\nIts URI:\n{uri}"))?;
        match &self.target.name {
            Some(name) if self.target.public_key.is_none() => terminal::say(format_args!(
                "\nPin it in the section {name}:\npublic_key = {:?}",
                self.file.to_string_lossy()
            ))?,
            Some(_) => {}
            None => terminal::say(format_args!("\nFor mastersign.toml:\n\n{}", self.section()))?,
        }
        terminal::say(format_args!(
            "\nBackup ({}): {}\n{}",
            self.backup.word(),
            self.backup.consequence(),
            Backup::LOSS
        ))?;
        Ok(())
    }
}

fn bits(text: &str) -> Result<u32, &'static str> {
    match text {
        "2048" => Ok(2048),
        "3072" => Ok(3072),
        "4096" => Ok(4096),
        _ => Err("there are 2048, 3072 and 4096"),
    }
}
