//! `mastersign hsm adopt`: a key that the vendor's tool brought into the token.
//!
//! Nothing is changed on the token. What is shown is that the key there is the one that the minions
//! trust, and that the service could sign with it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use minion::verify::Algorithm;

use super::Output;
use super::adopted::{Adopted, WARNING};
use super::inside::{self, Opened};
use super::secrets::Secrets;
use super::target;
use crate::hsm::token::{self, Verdict};
use crate::terminal;

/// The arguments of `mastersign hsm adopt`.
#[derive(Debug, clap::Args)]
#[command(after_help = WARNING)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// The public half that the minions trust, `master_sign.pub`; default: the section's
    /// `public_key`
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

impl Arguments {
    fn public_key(&self, target: &target::Target) -> anyhow::Result<PathBuf> {
        let given = self.public_key.as_ref().or(target.public_key.as_ref());
        let path = given.context(
            "name the public key that the minions trust with --public-key: without it nothing says \
             that the key on the token is the right one",
        )?;
        std::path::absolute(path).context("failed to make --public-key absolute")
    }
}

/// Reads the PIN and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    token::read_pinned(&arguments.public_key(&target)?)?;
    inside::run_with_pin(&target, &arguments.target)
}

/// Finds the key and has it sign.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let file = arguments.public_key(&target)?;
    let given = token::read_pinned(&file)?;
    let opened = Opened::of(&target, secrets)?;
    let Opened {
        module, token, key, ..
    } = &opened;
    token::check_pinned(key, &given, &file)?;
    if let Verdict::Refused { why } = key.attributes.verdict() {
        return Err(token::Error::KeyUnfit { why }.into());
    }
    for algorithm in Algorithm::ALL {
        let mut session = module.open_session(token)?;
        let signature = session.sign_trial(key, target.mechanism, algorithm);
        // The answer counts, not the goodbye.
        let _ = session.close();
        let signature = signature.map_err(|error| inside::explain(error, &target))?;
        given
            .verify(algorithm, &given, &signature)
            .with_context(|| {
                format!(
                    "the token's {algorithm} signature does not verify under {}",
                    file.display()
                )
            })?;
    }
    let answer = Adopted {
        target: &target,
        module,
        token,
        key,
        public_key_file: &file,
        compared: "made by the token and verified under the given public key",
        word: "Found",
        dropped: &[],
    };
    answer.tell(output)?;
    if target.name.is_some()
        && let Err(error) = key.admit(target.never_extractable)
    {
        terminal::note(format_args!(
            "note: as it is configured, the service refuses this key: {error}; set \
             require_never_extractable = \"warn\" if that is acceptable"
        ))?;
    }
    opened.close()?;
    Ok(ExitCode::SUCCESS)
}
