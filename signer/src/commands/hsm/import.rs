//! `mastersign hsm import`: an existing `master_sign.pem` into a token.
//!
//! So that a fleet that trusts a key already can move without a hand on a minion. It is the second
//! best: a key that was a file may have copies, and no token can call them back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use minion::verify::PublicKey;
use serde_json::json;

use super::adopted::{Adopted, SAME, WARNING};
use super::file_key::{self, public_half};
use super::reserved::Reserved;
use super::secrets::{self, Secrets};
use super::target::{self, Target};
use super::{Output, inside};
use crate::hsm::token::{self, Class, Custody, Error, ImportedKey, Module, Session};
use crate::terminal;

/// The arguments of `mastersign hsm import`.
#[derive(Debug, clap::Args)]
#[command(after_help = WARNING)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// The private key: PEM, PKCS#1 or PKCS#8, encrypted or not
    #[arg(value_name = "MASTER_SIGN_PEM")]
    file: PathBuf,
    /// The file with the key's pass phrase, mode 0400; asked for at a terminal
    #[arg(long, value_name = "FILE")]
    pass_file: Option<PathBuf>,
    /// Where the public half is written; a file that holds it already is left as it is
    #[arg(long, value_name = "FILE", default_value = "master_sign.pub")]
    out: PathBuf,
    /// Read the key and find the token; changes nothing and presents no PIN
    #[arg(long)]
    dry_run: bool,
}

/// Reads the key and its pass phrase, and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    target.token()?;
    let key = file_key::read(&arguments.file, arguments.pass_file.as_deref())?;
    place(&arguments.out, &public_half(&key)?)?;
    let secrets = Secrets {
        pin: if arguments.dry_run {
            None
        } else {
            Some(secrets::read_pin(&target)?)
        },
        key: Some(file_key::plain(&key)?),
        ..Secrets::default()
    };
    inside::run(&target.module, &secrets, &target.more(&arguments.target))
}

/// Brings the key in, and shows that the token signs as the file does.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let key = file_key::handed_over(secrets)?;
    let public = public_half(&key)?;
    let module = inside::load(&target)?;
    let token = inside::find(&module, &target)?;
    if arguments.dry_run {
        let (bits, key) = (public.bits(), public.hash());
        match output {
            Output::Json => terminal::say(json!({
                "would_import": key.to_string(),
                "bits": bits,
                "token": token.to_string(),
            }))?,
            Output::Text => terminal::say(format_args!(
                "would import the RSA-{bits} key {key} into the token {token}"
            ))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let keeper = module.open_write_session(&token)?;
    inside::login(&keeper, &token, secrets, &target)?;
    let reserved = place(&arguments.out, &public)?;
    let imported = ImportedKey::new(&key).context("the key lacks its primes")?;
    let plan = target.plan(public.bits(), Custody::Inside)?;
    let made = keeper
        .import(&imported, &plan)
        .map_err(|error| refused(error, &target))?;
    if let Err(why) = file_key::same_signatures(&module, &token, &made.key, &target, &key) {
        let left = if keeper.danger_remove(&plan.id) {
            "what was imported is removed".to_owned()
        } else {
            format!(
                "what was imported could NOT be removed: delete everything with the id {} with the \
                 vendor's tool",
                plan.id
            )
        };
        return Err(why.context(format!("the token does not sign as the file does; {left}")));
    }
    let file = match reserved {
        Some(reserved) => reserved.write(&public.to_file())?,
        None => std::path::absolute(&arguments.out)?,
    };
    let answer = Adopted {
        target: &target,
        module: &module,
        token: &token,
        key: &made.key,
        public_key_file: &file,
        compared: SAME,
        word: "Imported",
        dropped: &made.dropped,
    };
    answer.tell(output)?;
    close(keeper, module)?;
    Ok(ExitCode::SUCCESS)
}

fn close(keeper: Session, module: Module) -> anyhow::Result<()> {
    keeper.close()?;
    module.finalize()?;
    Ok(())
}

/// The file for the public half; none if it is there already.
fn place(out: &Path, public: &PublicKey) -> anyhow::Result<Option<Reserved>> {
    if !fs::exists(out).unwrap_or(true) {
        return Reserved::create(out).map(Some);
    }
    let there = token::read_pinned(out)?;
    ensure!(
        there == *public,
        "{} holds another key, {}; name another file with --out",
        out.display(),
        there.hash()
    );
    Ok(None)
}

fn refused(error: Error, target: &Target) -> anyhow::Error {
    let pin = error.class() == Class::Pin;
    let error = inside::explain(error, target);
    if pin {
        return error;
    }
    error.context(
        "the token took no private key through C_CreateObject, as many HSMs do not, in FIPS mode \
         in particular. Bring it in with the vendor's tool and run `mastersign hsm adopt` on it",
    )
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;

    use super::*;

    #[test]
    fn the_file_for_the_public_half_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("master_sign.pub");
        let public = public_half(&Rsa::generate(2048).unwrap()).unwrap();
        let other = public_half(&Rsa::generate(2048).unwrap()).unwrap();
        assert!(place(&out, &public).unwrap().is_some());
        assert!(!out.exists(), "nothing came, so the file is gone");
        fs::write(&out, public.to_file()).unwrap();
        assert!(place(&out, &public).unwrap().is_none());
        assert!(place(&out, &other).is_err());
    }
}
