//! A signing key that is a file: read and judged, and compared with the one in a token.
//!
//! `import` brings it in; `adopt --compare` shows that the vendor's tool brought this very key in. It
//! is read by the parent, and the child that loads the module gets it through a pipe.

use std::path::Path;

use anyhow::{Context, ensure};
use hsm_config::PinSource;
use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::secrets::{self, Secrets};
use super::target::Target;
use super::{inside, pem};
use crate::hsm::pin;
use crate::hsm::token::{self, Module, SigningKey, TokenInfo};
use crate::key_policy;

/// The private key, decrypted and judged.
pub(super) fn read(path: &Path, pass_file: Option<&Path>) -> anyhow::Result<Rsa<Private>> {
    let text = pem::read(path)?;
    let pass = if pem::is_encrypted(&text) {
        Some(match pass_file {
            Some(path) => pin::read(&PinSource::File {
                path: path.to_owned(),
            })
            .context("failed to read the pass phrase")?,
            None => secrets::ask("pass phrase of the key")?,
        })
    } else {
        None
    };
    let key = pem::private_rsa(&text, pass.as_ref())
        .with_context(|| format!("{} cannot be used", path.display()))?;
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

/// The key that the parent process read.
pub(super) fn handed_over(secrets: &Secrets) -> anyhow::Result<Rsa<Private>> {
    Rsa::private_key_from_pem(secrets.key()?.expose_secret().as_bytes())
        .context("failed to read the key that the parent process handed over")
}

/// Its public half.
pub(super) fn public_half(key: &Rsa<Private>) -> anyhow::Result<PublicKey> {
    let pem = key.public_key_to_pem()?;
    Ok(PublicKey::decode(&String::from_utf8(pem)?)?)
}

/// The key as the child reads it.
pub(super) fn plain(key: &Rsa<Private>) -> anyhow::Result<SecretString> {
    let pem = Zeroizing::new(key.private_key_to_pem()?);
    Ok(SecretString::from(std::str::from_utf8(&pem)?))
}

/// Signs the key's own public half with each algorithm, by the file and by the token.
pub(super) fn same_signatures(
    module: &Module,
    token: &TokenInfo,
    found: &SigningKey,
    target: &Target,
    key: &Rsa<Private>,
) -> anyhow::Result<()> {
    let public = public_half(key)?;
    ensure!(
        found.public == public,
        "the token shows the key {} and not {}",
        found.public.hash(),
        public.hash()
    );
    for algorithm in Algorithm::ALL {
        let by_file = sign(key, algorithm, &public)?;
        let mut session = module.open_session(token)?;
        let by_token = session.sign_trial(found, target.mechanism, algorithm);
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
}
