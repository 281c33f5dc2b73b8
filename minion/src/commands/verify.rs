//! `mastersign-minion verify` and `mastersign verify`: any signature, offline.
//!
//! One command of both programs, because a host has one of them, and the answer must not depend on
//! which.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::Output;
use crate::terminal;
use crate::verify::{Examination, PublicKey, Verdict, clean_key, examine};

/// The arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    /// The signature: Salt's `master_pubkey_signature` or `<id>_pubkey_signature`
    #[arg(value_name = "SIGNATURE_FILE")]
    signature: PathBuf,

    /// The master's public key that was signed
    #[arg(long, value_name = "FILE")]
    master_pub: PathBuf,

    /// A public signing key that may have made it; may be repeated, then each is tried in turn
    #[arg(long, value_name = "FILE", required = true)]
    master_sign_pub: Vec<PathBuf>,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs `verify`.
///
/// # Errors
///
/// Fails if a file cannot be read or a key file holds no key; a signature that does not verify is
/// an exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        signature,
        master_pub,
        master_sign_pub,
        output,
    } = arguments;
    let signature = read(signature)?;
    let master = text(master_pub)?;
    let keys: Vec<PublicKey> = master_sign_pub
        .iter()
        .map(|path| signing_key(path))
        .collect::<anyhow::Result<_>>()?;
    let examination = examine(&signature, &master, &keys)
        .with_context(|| format!("failed to use {}", master_pub.display()))?;
    let by = |index: usize| {
        let path: Option<&PathBuf> = master_sign_pub.get(index);
        path.map(|path| path.display().to_string())
    };
    match output {
        Output::Json => terminal::say(document(&examination, &keys, by))?,
        Output::Text => tell(&examination, by)?,
    }
    Ok(match examination.verdict {
        Verdict::Valid { .. } => ExitCode::SUCCESS,
        Verdict::Invalid { .. } => ExitCode::from(42),
    })
}

fn tell(examination: &Examination, by: impl Fn(usize) -> Option<String>) -> anyhow::Result<()> {
    match &examination.verdict {
        Verdict::Valid { key, algorithm } => terminal::say(format_args!(
            "valid: {algorithm} by {} over key {}",
            by(*key).unwrap_or_default(),
            examination.master
        ))?,
        Verdict::Invalid { reasons } => {
            terminal::say("not valid:")?;
            for reason in reasons {
                terminal::say(format_args!("  {}", reason.text(&by)))?;
            }
        }
    }
    for remark in &examination.remarks {
        terminal::note(format_args!("note: {remark}"))?;
    }
    Ok(())
}

fn document(
    examination: &Examination,
    keys: &[PublicKey],
    by: impl Fn(usize) -> Option<String>,
) -> Value {
    let master = examination.master.to_string();
    let remarks = &examination.remarks;
    match &examination.verdict {
        Verdict::Valid { key, algorithm } => json!({
            "valid": true,
            "algorithm": algorithm.name(),
            "signing_key": keys.get(*key).map(|key| key.hash().to_string()),
            "signing_key_file": by(*key),
            "public_key_sha256": master,
            "notes": remarks,
        }),
        Verdict::Invalid { reasons } => json!({
            "valid": false,
            "public_key_sha256": master,
            "reasons": reasons.iter().map(|reason| reason.text(&by)).collect::<Vec<_>>(),
            "notes": remarks,
        }),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

fn text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not text", path.display()))
}

fn signing_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::decode(&clean_key(&text(path)?))
        .with_context(|| format!("{} is not the public half of a signing key", path.display()))
}

const EXIT_CODES: &str = "\
Both algorithms of Salt are tried with every key. No network is used.

Exit codes:
  0   valid
  1   a file could not be read
  2   wrong usage
  42  not valid; the reasons are printed";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_signature_may_stand_first_or_last() {
        for line in [
            "verify S --master-pub M --master-sign-pub K --master-sign-pub L",
            "verify --master-pub M --master-sign-pub K --master-sign-pub L S",
        ] {
            let arguments = Line::try_parse_from(line.split(' ')).unwrap().arguments;
            assert_eq!(arguments.signature, Path::new("S"));
            assert_eq!(arguments.master_sign_pub.len(), 2);
        }
    }
}
