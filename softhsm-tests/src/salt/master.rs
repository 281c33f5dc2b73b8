//! A salt-master that has no signing key: it serves the signature file that it is given.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use tempfile::TempDir;

use super::{Version, common_config, free_address};
use crate::process::{Process, attempt, run};

/// A master's files before it is started: configuration and key pair.
#[derive(Debug)]
pub struct Installation {
    version: Version,
    address: Ipv4Addr,
    directory: TempDir,
}

impl Installation {
    /// Makes the files as an operator has them before the first start: with a key pair, and
    /// configured to serve a signature file.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written or no address is free.
    pub fn create(version: Version, id: &str) -> Result<Self> {
        let directory = TempDir::with_prefix("master-")?;
        let address = free_address()?;
        let installation = Self {
            version,
            address,
            directory,
        };
        fs::write(
            installation.config_dir().join("master"),
            format!(
                "{}id: {id}\n\
                 interface: {address}\n\
                 auto_accept: True\n\
                 worker_threads: {WORKERS}\n\
                 master_sign_pubkey: True\n\
                 master_use_pubkey_signature: True\n\
                 master_pubkey_signature: master_pubkey_signature\n",
                common_config(installation.config_dir())?
            ),
        )?;
        let pki = installation.pki_dir();
        fs::create_dir(&pki)?;
        let key = Rsa::generate(2048)?;
        fs::write(pki.join("master.pem"), key.private_key_to_pem()?)?;
        fs::set_permissions(pki.join("master.pem"), fs::Permissions::from_mode(0o400))?;
        fs::write(
            pki.join("master.pub"),
            PKey::from_rsa(key)?.public_key_to_pem()?,
        )?;
        Ok(installation)
    }

    /// Takes the settings for a signature file out again: a master as it is before.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read or written.
    pub fn without_signature(&self) -> Result<()> {
        let path = self.config_dir().join("master");
        let text = fs::read_to_string(&path)?;
        let kept = text
            .lines()
            .filter(|line| !line.contains("pubkey"))
            .map(|line| format!("{line}\n"));
        Ok(fs::write(path, kept.collect::<String>())?)
    }

    /// Makes a stock master of it, which signs each sign-in by itself with this key.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn with_signing_key(&self, key: &Rsa<Private>) -> Result<()> {
        self.without_signature()?;
        let path = self.config_dir().join("master");
        let mut text = fs::read_to_string(&path)?;
        text.push_str("master_sign_pubkey: True\n");
        fs::write(path, text)?;
        let pem = self.pki_dir().join("master_sign.pem");
        fs::write(&pem, key.private_key_to_pem()?)?;
        fs::set_permissions(&pem, fs::Permissions::from_mode(0o400))?;
        Ok(fs::write(
            self.pki_dir().join("master_sign.pub"),
            key.public_key_to_pem()?,
        )?)
    }

    /// What `-c` gets: the directory of the file `master`.
    #[must_use]
    pub fn config_dir(&self) -> &Path {
        self.directory.path()
    }

    /// Salt's `pki_dir`.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.config_dir().join("pki")
    }

    /// The file that a minion gets its signature from.
    #[must_use]
    pub fn signature_file(&self) -> PathBuf {
        self.pki_dir().join("master_pubkey_signature")
    }

    /// The text of `master.pub`.
    ///
    /// # Errors
    ///
    /// Fails if it can't be read.
    pub fn public_key(&self) -> Result<String> {
        fs::read_to_string(self.pki_dir().join("master.pub")).context("failed to read master.pub")
    }

    /// Starts the master and waits until its workers take requests.
    ///
    /// # Errors
    ///
    /// Fails with the end of Salt's log if the master does not come up.
    pub fn start(self) -> Result<Master> {
        let mut command = self.version.command("salt-master")?;
        command
            .arg("-c")
            .arg(self.config_dir())
            .args(["-l", "debug"]);
        let process = Process::start(&mut command)?;
        process.log().wait_for("Worker binding to socket")?;
        Ok(Master {
            process,
            installation: self,
        })
    }
}

/// A running master; ends, with all its processes, when it is dropped.
#[derive(Debug)]
pub struct Master {
    // The order is the order of dropping: the processes end before their directory goes.
    process: Process,
    installation: Installation,
}

impl Master {
    /// Its files.
    #[must_use]
    pub const fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Where a minion reaches it.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.installation.address
    }

    /// Its process and log.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it, as a power cut would; its files stay.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it and starts it again with the files that it has then.
    ///
    /// # Errors
    ///
    /// As [`Installation::start`].
    pub fn restart(self) -> Result<Self> {
        let Self {
            mut process,
            installation,
        } = self;
        process.kill();
        super::forget_process(installation.config_dir());
        installation.start()
    }

    /// Whether this minion answers `test.ping`.
    ///
    /// # Errors
    ///
    /// Fails if the `salt` command does not say.
    pub fn hears_from(&self, minion: &str) -> Result<bool> {
        let mut command = self.installation.version.command("salt")?;
        let (_, answer, complaint) =
            attempt(command.arg("-c").arg(self.installation.config_dir()).args([
                "--out=json",
                "--static",
                "--timeout=15",
                minion,
                "test.ping",
            ]))?;
        let answer: serde_json::Value = serde_json::from_str(&answer)
            .with_context(|| format!("salt answered {answer:?} and {complaint:?}"))?;
        Ok(answer.get(minion).and_then(serde_json::Value::as_bool) == Some(true))
    }

    /// Asks every minion for `test.ping` with the `salt` command and gives what was answered, as
    /// JSON.
    ///
    /// # Errors
    ///
    /// Fails if the command does, for example because no minion answers.
    pub fn ping(&self) -> Result<String> {
        let mut command = self.installation.version.command("salt")?;
        run(command.arg("-c").arg(self.installation.config_dir()).args([
            "--out=json",
            "--static",
            "--timeout=20",
            "*",
            "test.ping",
        ]))
    }
}

/// Two are enough for one minion, and each is 60 MB.
const WORKERS: usize = 2;
