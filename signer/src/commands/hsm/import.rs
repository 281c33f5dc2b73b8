//! `mastersign hsm import`: an existing `master_sign.pem` into a token.
//!
//! So that a fleet that trusts a key already can move without a hand on a minion. It is the second
//! best: a key that was a file may have copies, and no token can call them back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use hsm_config::PinSource;
use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::adopted::{Adopted, WARNING};
use super::reserved::Reserved;
use super::secrets::{self, Secrets};
use super::target::{self, Target};
use super::{Output, inside, pem};
use crate::hsm::pin;
use crate::hsm::token::{
    self, Class, Custody, Error, Generated, ImportedKey, Module, Session, TokenInfo,
};
use crate::{key_policy, terminal};

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
    let key = read(arguments)?;
    place(&arguments.out, &public_half(&key)?)?;
    let secrets = Secrets {
        pin: if arguments.dry_run {
            None
        } else {
            Some(secrets::read_pin(&target)?)
        },
        key: Some(plain(&key)?),
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
    let key = Rsa::private_key_from_pem(secrets.key()?.expose_secret().as_bytes())
        .context("failed to read the key that the parent process handed over")?;
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
    if let Err(why) = same_signatures(&module, &token, &made, &target, &key, &public) {
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
        compared: "by the file and by the token, byte for byte the same",
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

/// Signs the key's own public half with each algorithm, by the file and by the token.
fn same_signatures(
    module: &Module,
    token: &TokenInfo,
    made: &Generated,
    target: &Target,
    key: &Rsa<Private>,
    public: &PublicKey,
) -> anyhow::Result<()> {
    ensure!(
        made.key.public == *public,
        "the token shows the key {} and not {}",
        made.key.public.hash(),
        public.hash()
    );
    for algorithm in Algorithm::ALL {
        let by_file = sign(key, algorithm, public)?;
        let mut session = module.open_session(token)?;
        let by_token = session.sign_trial(&made.key, target.mechanism, algorithm);
        // The answer counts, not the goodbye.
        let _ = session.close();
        let by_token = by_token.map_err(|error| inside::explain(error, target))?;
        // PKCS#1 v1.5 has one signature for a message, so one that verifies is the file's. It is
        // compared all the same: byte for byte is what the operator is told.
        ensure!(
            by_file == by_token,
            "the {algorithm} signatures of the token and of the file differ"
        );
    }
    Ok(())
}

/// A signature by the file.
fn sign(
    key: &Rsa<Private>,
    algorithm: Algorithm,
    public: &PublicKey,
) -> Result<Signature, openssl::error::ErrorStack> {
    let digest = match algorithm {
        Algorithm::Sha1 => MessageDigest::sha1(),
        Algorithm::Sha224 => MessageDigest::sha224(),
    };
    let key = PKey::from_rsa(key.clone())?;
    let mut signer = Signer::new(digest, &key)?;
    signer.update(public.canonical().as_bytes())?;
    Ok(Signature::new(signer.sign_to_vec()?))
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

/// The private key, decrypted and judged.
fn read(arguments: &Arguments) -> anyhow::Result<Rsa<Private>> {
    let path = &arguments.file;
    let text = pem::read(path)?;
    let pass = if pem::is_encrypted(&text) {
        Some(match &arguments.pass_file {
            Some(path) => pin::read(&PinSource::File { path: path.clone() })
                .context("failed to read the pass phrase")?,
            None => secrets::ask("pass phrase of the key")?,
        })
    } else {
        None
    };
    let key = pem::private_rsa(&text, pass.as_ref())
        .with_context(|| format!("{} cannot be imported", path.display()))?;
    let public = public_half(&key)?;
    key_policy::check(&public, [])
        .and_then(|()| key_policy::examine(&public))
        .map_err(|refusal| anyhow::anyhow!("{refusal}"))
        .context("a signing key like this one must not be used")?;
    ensure!(
        token::is_consistent(&key).unwrap_or(false),
        "the numbers of the private key in {} do not belong together",
        path.display()
    );
    Ok(key)
}

fn public_half(key: &Rsa<Private>) -> anyhow::Result<PublicKey> {
    let pem = key.public_key_to_pem()?;
    Ok(PublicKey::decode(&String::from_utf8(pem)?)?)
}

/// The key as the child reads it.
fn plain(key: &Rsa<Private>) -> anyhow::Result<SecretString> {
    let pem = Zeroizing::new(key.private_key_to_pem()?);
    Ok(SecretString::from(std::str::from_utf8(&pem)?))
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
    use super::*;

    #[test]
    fn the_file_signs_what_a_minion_verifies() {
        let key = Rsa::generate(2048).unwrap();
        let public = public_half(&key).unwrap();
        for algorithm in Algorithm::ALL {
            let signature = sign(&key, algorithm, &public).unwrap();
            public.verify(algorithm, &public, &signature).unwrap();
        }
    }

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
