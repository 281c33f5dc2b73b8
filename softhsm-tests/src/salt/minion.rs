//! A stock salt-minion that trusts one signing key and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use minion::verify::Algorithm;
use tempfile::TempDir;

use super::{Version, common_config};
use crate::namespace::{Namespace, inside};
use crate::process::{Log, Process};

/// What a minion is started with.
#[derive(Clone, Copy, Debug)]
pub struct MinionConfig<'a> {
    /// Its Salt.
    pub version: Version,
    /// Its id.
    pub id: &'a str,
    /// The masters, tried in this order.
    pub masters: &'a [String],
    /// The text of its `master_sign.pub`.
    pub trusted: &'a str,
    /// Its `signing_algorithm`.
    pub algorithm: Algorithm,
    /// Its network, if it is not the host's.
    pub namespace: Option<&'a Namespace>,
    /// How much it says.
    pub log_level: &'a str,
    /// Its `master_alive_interval`, in seconds.
    pub alive_interval: &'a str,
}

/// A running minion; ends, with all its processes, when it is dropped.
#[derive(Debug)]
pub struct Minion {
    // The order is the order of dropping: the processes end before their directory goes.
    process: Process,
    command: Command,
    directory: TempDir,
}

impl Minion {
    /// Starts the minion; it does not wait for anything.
    ///
    /// # Errors
    ///
    /// Fails if its files can't be written or it can't be started.
    pub fn start(config: MinionConfig<'_>) -> Result<Self> {
        Self::start_in(TempDir::with_prefix("minion-")?, config, VERIFYING)
    }

    /// Starts it as it is in a fleet without signing: it has no signing key and verifies nothing.
    ///
    /// # Errors
    ///
    /// As [`Minion::start`].
    pub fn start_unready(config: MinionConfig<'_>) -> Result<Self> {
        Self::start_in(TempDir::with_prefix("minion-")?, config, "")
    }

    /// Ends it, gives it the signing key and the settings by hand, and starts it again.
    ///
    /// # Errors
    ///
    /// As [`Minion::start`].
    pub fn make_ready(self, config: MinionConfig<'_>) -> Result<Self> {
        Self::start_in(self.end(), config, VERIFYING)
    }

    fn end(self) -> TempDir {
        let Self {
            mut process,
            command: _,
            directory,
        } = self;
        process.kill();
        super::forget_process(directory.path());
        directory
    }

    fn start_in(directory: TempDir, config: MinionConfig<'_>, verification: &str) -> Result<Self> {
        let MinionConfig {
            version,
            id,
            masters,
            trusted,
            algorithm,
            namespace,
            log_level,
            alive_interval,
        } = config;
        let masters: String = masters
            .iter()
            .map(|address| format!("  - {address}\n"))
            .collect();
        fs::write(
            directory.path().join("minion"),
            format!(
                "{}id: {id}\nmaster:\n{masters}{SETTINGS}{verification}\
                 signing_algorithm: {algorithm}\nmaster_alive_interval: {alive_interval}\n",
                common_config(directory.path())?
            ),
        )?;
        fs::create_dir_all(directory.path().join("pki"))?;
        // A package brings it along.
        fs::create_dir_all(directory.path().join("minion.d"))?;
        if !verification.is_empty() {
            fs::write(directory.path().join("pki/master_sign.pub"), trusted)?;
        }
        let mut command = version.command("salt-minion")?;
        command
            .arg("-c")
            .arg(directory.path())
            .args(["-l", log_level]);
        let mut command = inside(namespace, command);
        Ok(Self {
            process: Process::start(&mut command)?,
            command,
            directory,
        })
    }

    /// Where `keys export --verify` has its settings written.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.directory.path().join("minion.d/50-mastersign.conf")
    }

    /// Whether they are there.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.settings().exists()
    }

    /// Takes them away, which counts from its next start on.
    ///
    /// # Errors
    ///
    /// Fails if they are not there.
    pub fn forget_settings(&self) -> Result<()> {
        Ok(fs::remove_file(self.settings())?)
    }

    /// Kills it and starts it again on its files, with an empty log.
    ///
    /// # Errors
    ///
    /// Fails if it can't be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        super::forget_process(self.directory.path());
        self.process = Process::start(&mut self.command)?;
        Ok(())
    }

    /// Its processes.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Everything that it says, at the level that was asked for.
    #[must_use]
    pub const fn log(&self) -> &Log {
        self.process.log()
    }

    /// All its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

const VERIFYING: &str = "\
verify_master_pubkey_sign: True
always_verify_signature: True
";

/// Failover on; the rest only makes it start faster and forgive a loaded machine.
const SETTINGS: &str = "\
master_type: failover
master_tries: -1
retry_dns: 0
auth_timeout: 30
acceptance_wait_time: 1
random_reauth_delay: 1
enable_fqdns_grains: False
enable_gpu_grains: False
";
