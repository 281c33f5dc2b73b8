//! `mastersign hsm list`: what is there, under the names that the configuration uses.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::secrets::{self, Secrets};
use super::target::{self, Target};
use super::{Output, attributes, inside};
use crate::hsm::token::{Error, Module, SigningKey, TokenInfo};
use crate::terminal;

/// The arguments of `mastersign hsm list`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// Log in and show the keys; --pin-file implies it
    #[arg(long)]
    login: bool,
}

impl Arguments {
    const fn logs_in(&self) -> bool {
        self.login || self.target.pin_file.is_some()
    }
}

/// Reads PINs and starts a child for each module.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for target in arguments.target.targets()? {
        let mut secrets = Secrets::default();
        if arguments.logs_in() {
            target.token()?;
            secrets.pin = Some(secrets::read_pin(&target)?);
        }
        let ended = inside::run(&target.module, &secrets, &target.more(&arguments.target))?;
        if ended != ExitCode::SUCCESS {
            code = ended;
        }
    }
    Ok(code)
}

/// Lists the tokens of one module.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let module = inside::load(&target)?;
    let tokens = match &target.token {
        Some(_) => vec![inside::find(&module, &target)?],
        None => module.tokens()?,
    };
    let mut found = Vec::new();
    for token in tokens {
        let keys = if arguments.logs_in() {
            Some(keys(&module, &token, secrets, &target)?)
        } else {
            None
        };
        found.push((token, keys));
    }
    match output {
        Output::Json => terminal::say(json(&module, &target, &found))?,
        Output::Text => text(&module, &target, &found)?,
    }
    if found.is_empty() {
        bail!("{} shows no token", module.path().display());
    }
    module.finalize()?;
    Ok(ExitCode::SUCCESS)
}

type Found = (TokenInfo, Option<Vec<Result<SigningKey, Error>>>);

fn keys(
    module: &Module,
    token: &TokenInfo,
    secrets: &Secrets,
    target: &Target,
) -> anyhow::Result<Vec<Result<SigningKey, Error>>> {
    let session = module.open_session(token)?;
    inside::login(&session, token, secrets, target)?;
    let keys = session.keys()?;
    session.close()?;
    Ok(keys)
}

fn json(module: &Module, target: &Target, found: &[Found]) -> Value {
    let key = |token: &TokenInfo, key: &Result<SigningKey, Error>| match key {
        Ok(key) => {
            let mut value = attributes::key_json(key);
            if let Some(object) = value.as_object_mut() {
                let uri = attributes::key_uri(token, key, module.path());
                object.insert("uri".to_owned(), json!(uri.to_string()));
            }
            value
        }
        Err(error) => json!({"error": error.to_string()}),
    };
    let tokens: Vec<Value> = found
        .iter()
        .map(|(token, keys)| {
            let keys = keys.as_ref().map(|keys| {
                let keys = keys.iter().map(|found| key(token, found));
                keys.collect::<Vec<_>>()
            });
            json!({
                "token": attributes::token_json(token),
                "uri": attributes::token_uri(token).to_string(),
                "mechanisms": mechanisms(module, token),
                "keys": keys,
            })
        })
        .collect();
    json!({"hsm": target.name, "module": module.path(), "tokens": tokens})
}

/// The ways to sign that Salt can use, as far as the token offers them; null if it does not tell.
fn mechanisms(module: &Module, token: &TokenInfo) -> Value {
    let Ok(offered) = module.mechanisms(token) else {
        return Value::Null;
    };
    let entries = offered.into_iter().map(|it| {
        let sizes = json!({"sign": it.signs, "min_bits": it.min_bits, "max_bits": it.max_bits});
        (it.name, sizes)
    });
    Value::Object(entries.collect())
}

fn text(module: &Module, target: &Target, found: &[Found]) -> anyhow::Result<()> {
    match &target.name {
        Some(name) => terminal::say(format_args!("{name}: {}", module.path().display()))?,
        None => terminal::say(module.path().display())?,
    }
    for (token, keys) in found {
        terminal::say(format_args!(
            "\n{token}: {} {}, firmware {}{}",
            token.manufacturer,
            token.model,
            token.firmware,
            flags(token)
        ))?;
        if token.initialized {
            terminal::say(format_args!("  {}", attributes::token_uri(token)))?;
        }
        match keys {
            None => {}
            Some(keys) if keys.is_empty() => terminal::say("  no RSA key")?,
            Some(keys) => {
                for key in keys {
                    key_text(module, token, key)?;
                }
            }
        }
    }
    Ok(())
}

fn key_text(
    module: &Module,
    token: &TokenInfo,
    key: &Result<SigningKey, Error>,
) -> anyhow::Result<()> {
    let key = match key {
        Ok(key) => key,
        Err(error) => return Ok(terminal::say(format_args!("\n  {error}"))?),
    };
    terminal::say(format_args!(
        "\n  RSA-{} {:?}\n    {}\n    sha256: {}",
        key.public.bits(),
        key.label,
        attributes::key_uri(token, key, module.path()),
        key.public.hash()
    ))?;
    for line in attributes::attributes_lines(&key.attributes) {
        terminal::say(format_args!("    {line}"))?;
    }
    terminal::say(format_args!("    verdict: {}", key.attributes.verdict()))?;
    Ok(())
}

/// What an operator should not overlook.
fn flags(token: &TokenInfo) -> String {
    let flags = [
        (
            token.initialized && !token.pin_initialized,
            "no user PIN is set",
        ),
        (token.pin_locked, "the PIN is locked"),
        (token.pin_final_try, "one more wrong PIN locks it"),
        (token.pin_count_low, "a wrong PIN was presented"),
        (token.write_protected, "write-protected"),
    ];
    flags
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, words)| format!("; {words}"))
        .collect()
}
