//! A stock salt-minion that trusts one signing key and nothing else.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use minion::verify::Algorithm;
use tempfile::TempDir;

use super::{Version, common_config};
use crate::process::{Log, Process};

/// What a minion is started with.
#[derive(Clone, Copy, Debug)]
pub struct MinionConfig<'a> {
    /// Its Salt.
    pub version: Version,
    /// Its id.
    pub id: &'a str,
    /// The masters, tried in this order.
    pub masters: &'a [Ipv4Addr],
    /// The text of its `master_sign.pub`.
    pub trusted: &'a str,
    /// Its `signing_algorithm`.
    pub algorithm: Algorithm,
}

/// A running minion; ends, with all its processes, when it is dropped.
#[derive(Debug)]
pub struct Minion {
    // The order is the order of dropping: the processes end before their directory goes.
    process: Process,
    directory: TempDir,
}

impl Minion {
    /// Starts the minion; it does not wait for anything.
    ///
    /// # Errors
    ///
    /// Fails if its files can't be written or it can't be started.
    pub fn start(config: MinionConfig<'_>) -> Result<Self> {
        let directory = TempDir::with_prefix("minion-")?;
        Self::start_in(directory, config, VERIFYING)
    }

    /// Starts it as it is in a fleet without signing: it has no signing key and verifies nothing.
    ///
    /// # Errors
    ///
    /// As [`Minion::start`].
    pub fn start_unready(config: MinionConfig<'_>) -> Result<Self> {
        let directory = TempDir::with_prefix("minion-")?;
        Self::start_in(directory, config, "")
    }

    /// Ends it, gives it the signing key and the settings, and starts it again.
    ///
    /// # Errors
    ///
    /// As [`Minion::start`].
    pub fn make_ready(self, config: MinionConfig<'_>) -> Result<Self> {
        Self::start_in(self.end(), config, VERIFYING)
    }

    /// Ends it, takes the settings away, and starts it again.
    ///
    /// # Errors
    ///
    /// As [`Minion::start`].
    pub fn make_unready(self, config: MinionConfig<'_>) -> Result<Self> {
        Self::start_in(self.end(), config, "")
    }

    fn end(self) -> TempDir {
        let Self {
            mut process,
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
        } = config;
        let masters: String = masters
            .iter()
            .map(|address| format!("  - {address}\n"))
            .collect();
        fs::write(
            directory.path().join("minion"),
            format!(
                "{}id: {id}\nmaster:\n{masters}{SETTINGS}{verification}signing_algorithm: {algorithm}\n",
                common_config(directory.path())?
            ),
        )?;
        fs::create_dir_all(directory.path().join("pki"))?;
        if !verification.is_empty() {
            fs::write(directory.path().join("pki/master_sign.pub"), trusted)?;
        }
        let mut command = version.command("salt-minion")?;
        command
            .arg("-c")
            .arg(directory.path())
            .args(["-l", "debug"]);
        Ok(Self {
            process: Process::start(&mut command)?,
            directory,
        })
    }

    /// Everything that it says, at Salt's debug level.
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
master_alive_interval: 2
master_tries: -1
retry_dns: 0
auth_timeout: 30
acceptance_wait_time: 1
random_reauth_delay: 1
enable_fqdns_grains: False
enable_gpu_grains: False
";
