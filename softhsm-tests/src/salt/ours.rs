//! `mastersign-minion`, started on a stock salt-minion's configuration.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use minion::verify::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Console, common_config};
use crate::binaries::mastersign_minion;
use crate::namespace::{Namespace, inside};
use crate::process::{Log, Process};

/// What a minion is started with.
#[derive(Clone, Copy, Debug)]
pub struct OursConfig<'a> {
    /// Its id.
    pub id: &'a str,
    /// The masters, tried in this order.
    pub masters: &'a [String],
    /// The text of its `master_sign.pub`.
    pub trusted: &'a str,
    /// The algorithm of everything: the masters' keys, encryption, publications.
    pub algorithm: Algorithm,
    /// Options in Salt's words, over the ones that every test has.
    pub options: &'a [(&'a str, &'a str)],
}

/// Our minion's files; [`Ours::start`] makes a process of them.
#[derive(Debug)]
pub struct Ours {
    directory: TempDir,
    id: String,
}

impl Ours {
    /// Writes the configuration and `master_sign.pub`.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn create(config: OursConfig<'_>) -> Result<Self> {
        let directory = TempDir::with_prefix("minion-")?;
        let (signing, encryption) = match config.algorithm {
            Algorithm::Sha1 => ("PKCS1v15-SHA1", "OAEP-SHA1"),
            Algorithm::Sha224 => ("PKCS1v15-SHA224", "OAEP-SHA224"),
        };
        let mut options = BTreeMap::from(DEFAULTS);
        options.insert("signing_algorithm", signing);
        options.insert("publish_signing_algorithm", signing);
        options.insert("encryption_algorithm", encryption);
        options.extend(config.options.iter().copied());
        let mut text = common_config(directory.path())?;
        text.push_str(&format!("id: {}\nmaster:\n", config.id));
        for master in config.masters {
            text.push_str(&format!("  - {master}\n"));
        }
        for (name, value) in options {
            text.push_str(&format!("{name}: {value}\n"));
        }
        fs::write(directory.path().join("minion"), text)?;
        let pki = directory.path().join("pki");
        fs::create_dir(&pki)?;
        fs::set_permissions(&pki, fs::Permissions::from_mode(0o700))?;
        fs::write(pki.join("master_sign.pub"), config.trusted)?;
        Ok(Self {
            directory,
            id: config.id.to_owned(),
        })
    }

    /// Has the master make this minion's key and accept it, as an operator does who seeds a new
    /// host.
    ///
    /// # Errors
    ///
    /// Fails if Salt does.
    pub fn seed(&self, console: &Console) -> Result<()> {
        let pair = console.key("gen_accept", &json!([self.id]))?;
        for (half, name, mode) in [("priv", "minion.pem", 0o400), ("pub", "minion.pub", 0o644)] {
            let text = pair.get(half).and_then(Value::as_str);
            let path = self.directory().join("pki").join(name);
            fs::write(&path, text.with_context(|| format!("no {half} in {pair}"))?)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        console.expect_key(&self.id, "minions")
    }

    /// All its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The command that runs it.
    ///
    /// # Errors
    ///
    /// Fails if the program can't be built.
    pub fn command(&self) -> Result<Command> {
        let mut command = mastersign_minion()?;
        command.arg("run").arg("--config-dir").arg(self.directory());
        Ok(command)
    }

    /// Starts it; it does not wait for anything.
    ///
    /// # Errors
    ///
    /// Fails if it can't be started.
    pub fn start(self, namespace: Option<&Namespace>) -> Result<RunningOurs> {
        let command = inside(namespace, self.command()?);
        self.run(command)
    }

    /// The same in a network, with these lines as its `/etc/hosts`.
    ///
    /// # Errors
    ///
    /// As [`Ours::start`].
    pub fn start_with_hosts(self, namespace: &Namespace, hosts: &str) -> Result<RunningOurs> {
        let path = self.directory().join("hosts");
        fs::write(&path, hosts)?;
        let command = namespace.inside_with_hosts(&path, &self.command()?);
        self.run(command)
    }

    fn run(self, mut command: Command) -> Result<RunningOurs> {
        Ok(RunningOurs {
            process: Process::start(&mut command)?,
            files: self,
        })
    }
}

/// Our minion, running; it ends when it is dropped.
#[derive(Debug)]
pub struct RunningOurs {
    // The order is the order of dropping.
    process: Process,
    files: Ours,
}

impl RunningOurs {
    /// What it says, at Salt's debug level unless its options say otherwise.
    #[must_use]
    pub const fn log(&self) -> &Log {
        self.process.log()
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Its process, to wait for its end.
    pub const fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it, and gives its files: what it has learned is in them.
    #[must_use]
    pub fn end(self) -> Ours {
        let Self { process, files } = self;
        drop(process);
        files
    }

    /// Its files.
    #[must_use]
    pub const fn files(&self) -> &Ours {
        &self.files
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.files.id()
    }
}

/// Verification and failover on; waits short, since nobody else is at these masters.
const DEFAULTS: [(&str, &str); 9] = [
    ("log_level", "debug"),
    ("master_type", "failover"),
    ("master_alive_interval", "5"),
    ("retry_dns", "0"),
    ("verify_master_pubkey_sign", "True"),
    ("acceptance_wait_time", "1"),
    ("random_reauth_delay", "1"),
    ("auth_timeout", "30"),
    ("keysize", "2048"),
];
