//! `mastersign hsm adopt`: a key that the vendor's tool brought into the token.
//!
//! Nothing is changed on the token. What is shown is that the key there is the one that the minions
//! trust, and that the service could sign with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use minion::verify::{Algorithm, PublicKey};

use super::adopted::{Adopted, SAME, WARNING};
use super::inside::{self, Opened};
use super::secrets::{self, Secrets};
use super::target::{self, Target};
use super::{Output, file_key};
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
    /// The private key as a file, if it is still at hand: PEM, PKCS#1 or PKCS#8, encrypted or not.
    /// It and the token then make the same trial signatures, byte for byte
    #[arg(long, value_name = "MASTER_SIGN_PEM")]
    compare: Option<PathBuf>,
    /// The file with the pass phrase of that key, mode 0400; asked for at a terminal
    #[arg(long, value_name = "FILE", requires = "compare")]
    pass_file: Option<PathBuf>,
}

impl Arguments {
    fn public_key(&self, target: &Target) -> anyhow::Result<PathBuf> {
        let given = self.public_key.as_ref().or(target.public_key.as_ref());
        let path = given.context(
            "name the public key that the minions trust with --public-key: without it nothing says \
             that the key on the token is the right one",
        )?;
        std::path::absolute(path).context("failed to make --public-key absolute")
    }
}

/// Reads the PIN, and the file to compare with, and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let given = token::read_pinned(&arguments.public_key(&target)?)?;
    target.token()?;
    target.key()?;
    let key = match &arguments.compare {
        Some(path) => {
            let key = file_key::read(path, arguments.pass_file.as_deref())?;
            let public = file_key::public_half(&key)?;
            ensure!(
                public == given,
                "{} is the private half of {}, and the key to adopt is {}; compare with the file of \
                 that one",
                path.display(),
                public.hash(),
                given.hash()
            );
            Some(file_key::plain(&key)?)
        }
        None => None,
    };
    let secrets = Secrets {
        pin: Some(secrets::read_pin(&target)?),
        key,
        ..Secrets::default()
    };
    inside::run(&target.module, &secrets, &target.more(&arguments.target))
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
    let compared = if arguments.compare.is_some() {
        let by = file_key::handed_over(secrets)?;
        file_key::same_signatures(module, token, key, &target, &by)
            .context("the token does not sign as the file does")?;
        SAME
    } else {
        verified(&target, &opened, &given, &file)?;
        "made by the token and verified under the given public key"
    };
    let answer = Adopted {
        target: &target,
        module,
        token,
        key,
        public_key_file: &file,
        compared,
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

/// Has the token sign with each algorithm.
fn verified(
    target: &Target,
    opened: &Opened,
    given: &PublicKey,
    file: &Path,
) -> anyhow::Result<()> {
    let Opened {
        module, token, key, ..
    } = opened;
    for algorithm in Algorithm::ALL {
        let mut session = module.open_session(token)?;
        let signature = session.sign_trial(key, target.mechanism, algorithm);
        // The answer counts, not the goodbye.
        let _ = session.close();
        let signature = signature.map_err(|error| inside::explain(error, target))?;
        given
            .verify(algorithm, given, &signature)
            .with_context(|| {
                format!(
                    "the token's {algorithm} signature does not verify under {}",
                    file.display()
                )
            })?;
    }
    Ok(())
}
