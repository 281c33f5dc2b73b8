//! The secrets of one command, on their way from the parent that reads them to the child that uses
//! them.

use std::io::{self, IsTerminal, Read, Write};

use anyhow::{Context, bail, ensure};
use hsm_config::PinSource;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::target::Target;
use crate::hsm::pin;

/// What the child may present to the token.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The user's PIN.
    pub pin: Option<SecretString>,
    /// The security officer's.
    pub so_pin: Option<SecretString>,
    /// A private key that is to be imported, PEM without a pass phrase.
    pub key: Option<SecretString>,
}

impl Secrets {
    /// The user's PIN, if one was read.
    pub(super) fn pin(&self) -> anyhow::Result<&SecretString> {
        self.pin
            .as_ref()
            .context("standard input did not hold a PIN")
    }

    /// The security officer's PIN, if one was read.
    pub(super) fn so_pin(&self) -> anyhow::Result<&SecretString> {
        self.so_pin
            .as_ref()
            .context("standard input did not hold the security officer's PIN")
    }

    /// The private key, if one was read.
    pub(super) fn key(&self) -> anyhow::Result<&SecretString> {
        self.key
            .as_ref()
            .context("standard input did not hold a private key")
    }

    /// Writes them where the child reads them: each as one byte that says whether it is there, its
    /// length, and it.
    ///
    /// # Errors
    ///
    /// Fails if one is longer than 64 KiB, or if the child has ended.
    pub fn send(&self, mut to: impl Write) -> io::Result<()> {
        for secret in [&self.pin, &self.so_pin, &self.key] {
            let bytes = secret.as_ref().map_or("", |secret| secret.expose_secret());
            let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
            to.write_all(&[u8::from(secret.is_some())])?;
            to.write_all(&length.to_be_bytes())?;
            to.write_all(bytes.as_bytes())?;
        }
        to.flush()
    }

    /// Reads them from standard input.
    pub(super) fn receive() -> anyhow::Result<Self> {
        Self::parse(io::stdin().lock()).context("failed to read the PINs from the parent process")
    }

    /// Reads them as they were sent.
    ///
    /// # Errors
    ///
    /// Fails if something is missing, or is no text.
    pub fn parse(mut from: impl Read) -> io::Result<Self> {
        let mut next = || {
            let mut head = [0; 3];
            from.read_exact(&mut head)?;
            let [present, high, low] = head;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let mut bytes = Zeroizing::new(vec![0; length]);
            from.read_exact(&mut bytes)?;
            let text = std::str::from_utf8(&bytes).map_err(io::Error::other)?;
            Ok::<_, io::Error>((present != 0).then(|| SecretString::from(text)))
        };
        Ok(Self {
            pin: next()?,
            so_pin: next()?,
            key: next()?,
        })
    }
}

/// Reads the PIN of a key's user, and checks its form where the provider's is known.
pub(super) fn read_pin(target: &Target) -> anyhow::Result<SecretString> {
    let pin = match &target.pin {
        PinSource::Locked | PinSource::Prompt => ask("PIN")?,
        source => pin::read(source)?,
    };
    check_form(&pin, target)?;
    Ok(pin)
}

/// Reads a PIN that is about to be set: a person at a terminal types it twice.
pub(super) fn read_new_pin(source: &PinSource, what: &str) -> anyhow::Result<SecretString> {
    match source {
        PinSource::Locked | PinSource::Prompt => {
            let first = ask(&format!("new {what}"))?;
            let again = ask(&format!("new {what}, again"))?;
            ensure!(
                first.expose_secret() == again.expose_secret(),
                "the two entries differ; nothing was changed"
            );
            Ok(first)
        }
        source => Ok(pin::read(source)?),
    }
}

/// Refuses a PIN whose form cannot be right, before it costs one of the tries that the token
/// allows.
pub(super) fn check_form(pin: &SecretString, target: &Target) -> anyhow::Result<()> {
    if let Some(profile) = &target.profile {
        profile
            .pin
            .check(pin.expose_secret())
            .with_context(|| format!("this is no PIN of {}", profile.title))?;
    }
    Ok(())
}

/// Asks a person at the terminal.
pub(super) fn ask(what: &str) -> anyhow::Result<SecretString> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the {what}; name a file that holds it");
    }
    let pin = rpassword::prompt_password(format!("{what}: "))
        .with_context(|| format!("failed to ask for the {what} on the terminal"))?;
    let pin = Zeroizing::new(pin);
    ensure!(!pin.is_empty(), "the {what} is empty");
    Ok(SecretString::from(pin.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_arrive_as_they_were_sent() {
        let sent = Secrets {
            pin: Some(SecretString::from("1234\n\u{e9}")),
            so_pin: None,
            key: Some(SecretString::from("-----BEGIN")),
        };
        let mut pipe = Vec::new();
        sent.send(&mut pipe).unwrap();
        let received = Secrets::parse(pipe.as_slice()).unwrap();
        assert_eq!(received.pin().unwrap().expose_secret(), "1234\n\u{e9}");
        assert!(received.so_pin.is_none());
        assert_eq!(received.key().unwrap().expose_secret(), "-----BEGIN");
        assert!(Secrets::parse(&pipe[..pipe.len() - 1]).is_err());
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let secrets = Secrets {
            pin: Some(SecretString::from("hunter2")),
            so_pin: Some(SecretString::from("hunter3")),
            key: Some(SecretString::from("hunter4")),
        };
        assert!(!format!("{secrets:?}").contains("hunter"));
    }
}
