//! Reading a private key from a PEM file, and saying what a file is that holds none.

mod derivation;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The file's text; wiped when it is dropped.
pub(super) fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    let read = file
        .take(u64::try_from(LONGEST)?)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read {} as text", path.display()))?;
    ensure!(read < LONGEST, "{} is too long for a key", path.display());
    Ok(text)
}

/// Whether a pass phrase is needed.
#[must_use]
pub fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// The private key in it.
///
/// # Errors
///
/// Says what the text is instead, or that the pass phrase is not the right one.
pub fn private_rsa(text: &str, pass: Option<&SecretString>) -> anyhow::Result<Rsa<Private>> {
    check_kind(text)?;
    derivation::check(text)?;
    // Without a pass phrase OpenSSL would ask whoever sits at the terminal.
    let pass_bytes = pass.map_or("", |pass| pass.expose_secret()).as_bytes();
    let key = PKey::private_key_from_pem_passphrase(text.as_bytes(), pass_bytes);
    let key = match (key, pass) {
        (Ok(key), _) => key,
        (Err(_), Some(_)) => bail!(
            "the pass phrase does not decrypt it, or it is encrypted with a cipher that OpenSSL 3 \
             has retired; `openssl pkcs8 -topk8` with an older OpenSSL rewrites it"
        ),
        (Err(_), None) => bail!("its PEM holds no private key that can be read"),
    };
    key.rsa()
        .context("it is no RSA key, and Salt has no others")
}

/// Refuses what is no single private key, and names what it is.
fn check_kind(text: &str) -> anyhow::Result<()> {
    let begins: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN "))
        .map(|rest| rest.trim_end_matches('-'))
        .collect();
    match begins.as_slice() {
        ["RSA PRIVATE KEY" | "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY"] => Ok(()),
        [] => bail!("it is no PEM file: there is no line that begins with -----BEGIN"),
        ["PUBLIC KEY" | "RSA PUBLIC KEY"] => {
            bail!("it is a public key; the private one is master_sign.pem")
        }
        ["CERTIFICATE"] => bail!("it is a certificate"),
        ["EC PRIVATE KEY"] => bail!("it is no RSA key, and Salt has no others"),
        ["OPENSSH PRIVATE KEY"] => bail!("it is a key of OpenSSH, which Salt does not use"),
        [_] => bail!("it is PEM of another kind"),
        several => bail!("it holds {} PEM blocks, and one is meant", several.len()),
    }
}

/// A key of 4096 bits with all its spellings has a tenth of it.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use openssl::symm::Cipher;

    use super::*;

    #[test]
    fn every_spelling_of_a_private_key_is_read() {
        let key = Rsa::generate(2048).unwrap();
        let wrapped = PKey::from_rsa(key.clone()).unwrap();
        let cipher = Cipher::aes_256_cbc();
        let pass = SecretString::from("open sesame");
        let plain = [
            key.private_key_to_pem().unwrap(),
            wrapped.private_key_to_pem_pkcs8().unwrap(),
        ];
        for pem in plain {
            let text = String::from_utf8(pem).unwrap();
            assert!(!is_encrypted(&text));
            assert_eq!(private_rsa(&text, None).unwrap().n(), key.n());
        }
        let encrypted = [
            key.private_key_to_pem_passphrase(cipher, b"open sesame")
                .unwrap(),
            wrapped
                .private_key_to_pem_pkcs8_passphrase(cipher, b"open sesame")
                .unwrap(),
        ];
        for pem in encrypted {
            let text = String::from_utf8(pem).unwrap();
            assert!(is_encrypted(&text));
            assert_eq!(private_rsa(&text, Some(&pass)).unwrap().n(), key.n());
            let wrong = private_rsa(&text, Some(&SecretString::from("x"))).unwrap_err();
            assert!(wrong.to_string().contains("does not decrypt"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_private_key_is_named() {
        let key = Rsa::generate(2048).unwrap();
        let private = String::from_utf8(key.private_key_to_pem().unwrap()).unwrap();
        let public = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        for (text, expected) in [
            ("hello".to_owned(), "no PEM file"),
            (public.clone(), "a public key"),
            (format!("{private}{private}"), "2 PEM blocks"),
            (format!("{private}{public}"), "2 PEM blocks"),
            (private.replace("RSA PRIVATE", "EC PRIVATE"), "no RSA key"),
            (private.replace("MII", "AAA"), "can be read"),
        ] {
            let error = private_rsa(&text, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
