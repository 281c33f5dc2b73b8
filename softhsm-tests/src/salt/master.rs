//! A salt-master: its files, its processes, and an operator beside it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::Value;
use tempfile::TempDir;

use super::{Console, Version, common_config, free_address};
use crate::namespace::{Namespace, inside};
use crate::process::{Process, attempt, run};

/// What a master is made with.
#[derive(Clone, Debug)]
pub struct MasterConfig<'a> {
    /// Its Salt.
    pub version: Version,
    /// Its id.
    pub id: &'a str,
    /// Its network and its address in there; none takes a free loopback address of the host.
    pub place: Option<(&'a Arc<Namespace>, Ipv4Addr)>,
    /// Where its `pub_sig` comes from.
    pub signing: Signing<'a>,
    /// `auto_accept`.
    pub auto_accept: bool,
    /// More lines for its configuration.
    pub more: &'a str,
}

/// Where a master's `pub_sig` comes from.
#[derive(Clone, Copy, Debug)]
pub enum Signing<'a> {
    /// The file that the service made: the master has no signing key.
    Precomputed,
    /// `master_sign.pem` lies on the master, and signs each answer.
    PerRequest(&'a Rsa<Private>),
}

/// A master's files before it is started: configuration and key pair.
#[derive(Debug)]
pub struct Installation {
    version: Version,
    address: Ipv4Addr,
    namespace: Option<Arc<Namespace>>,
    directory: TempDir,
}

impl Installation {
    /// Makes the files as an operator has them before the first start: with a key pair, and
    /// configured to serve a signature file to everybody.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written or no address is free.
    pub fn create(version: Version, id: &str) -> Result<Self> {
        Self::with(&MasterConfig {
            version,
            id,
            place: None,
            signing: Signing::Precomputed,
            auto_accept: true,
            more: "",
        })
    }

    /// The same with other settings.
    ///
    /// # Errors
    ///
    /// As [`Installation::create`].
    pub fn with(config: &MasterConfig<'_>) -> Result<Self> {
        let directory = TempDir::with_prefix("master-")?;
        let address = match config.place {
            Some((_, address)) => address,
            None => free_address()?,
        };
        let installation = Self {
            version: config.version,
            address,
            namespace: config.place.map(|(namespace, _)| Arc::clone(namespace)),
            directory,
        };
        let file = match config.signing {
            Signing::Precomputed => PRECOMPUTED,
            Signing::PerRequest(_) => "",
        };
        fs::write(
            installation.config_dir().join("master"),
            format!(
                "{common}id: {id}\n\
                 interface: {address}\n\
                 auto_accept: {accept}\n\
                 worker_threads: {WORKERS}\n\
                 master_sign_pubkey: True\n\
                 {file}{more}",
                common = common_config(installation.config_dir())?,
                id = config.id,
                accept = if config.auto_accept { "True" } else { "False" },
                more = config.more,
            ),
        )?;
        fs::create_dir(installation.pki_dir())?;
        installation.write_pair("master", &Rsa::generate(2048)?)?;
        if let Signing::PerRequest(key) = config.signing {
            installation.write_pair("master_sign", key)?;
        }
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
        self.put_signing_key(key)
    }

    /// Has it listen on `::1` in the place of its address.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read or written.
    pub fn move_to_ipv6(&self) -> Result<()> {
        let path = self.config_dir().join("master");
        let text = fs::read_to_string(&path)?;
        let before = format!("interface: {}\n", self.address);
        ensure!(
            text.contains(&before),
            "{} is without {before}",
            path.display()
        );
        let after = "interface: '::1'\nipv6: True\n";
        Ok(fs::write(path, text.replace(&before, after))?)
    }

    /// Writes `master_sign.pem` and `.pub`; the settings stay as they are.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be written.
    pub fn put_signing_key(&self, key: &Rsa<Private>) -> Result<()> {
        self.write_pair("master_sign", key)
    }

    fn write_pair(&self, name: &str, key: &Rsa<Private>) -> Result<()> {
        let private = self.pki_dir().join(format!("{name}.pem"));
        fs::write(&private, key.private_key_to_pem()?)?;
        fs::set_permissions(&private, fs::Permissions::from_mode(0o400))?;
        let public = PKey::from_rsa(key.clone())?.public_key_to_pem()?;
        fs::write(self.pki_dir().join(format!("{name}.pub")), public)?;
        Ok(())
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
        let master = self.launch()?;
        master.wait()?;
        Ok(master)
    }

    /// Starts the master and waits for nothing: see [`Master::wait`].
    ///
    /// # Errors
    ///
    /// Fails if it can't be started.
    pub fn launch(self) -> Result<Master> {
        Ok(Master {
            process: self.spawn()?,
            console: OnceLock::new(),
            installation: self,
        })
    }

    fn spawn(&self) -> Result<Process> {
        let mut command = self.command("salt-master")?;
        Process::start(command.args(["-l", "debug"]))
    }

    /// One of Salt's commands with this configuration.
    fn command(&self, program: &str) -> Result<Command> {
        let mut command = self.version.command(program)?;
        command.arg("-c").arg(self.config_dir());
        // Also the clients: they ask the master at its address.
        Ok(inside(self.namespace.as_deref(), command))
    }
}

/// A running master; ends, with all its processes, when it is dropped.
#[derive(Debug)]
pub struct Master {
    // The order is the order of dropping: the processes end before their directory goes.
    console: OnceLock<Console>,
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

    /// Waits until its workers take requests.
    ///
    /// # Errors
    ///
    /// Fails with the end of Salt's log if they never do.
    pub fn wait(&self) -> Result<()> {
        self.process.log().wait_for("Worker binding to socket")?;
        Ok(())
    }

    /// The operator's console, opened when it is first needed.
    ///
    /// # Errors
    ///
    /// Fails if it does not come up.
    pub fn console(&self) -> Result<&Console> {
        if let Some(console) = self.console.get() {
            return Ok(console);
        }
        let Installation {
            version, namespace, ..
        } = &self.installation;
        let directory = self.installation.config_dir();
        let opened = Console::open(*version, directory, namespace.as_deref())?;
        // If two open it at once, both get the first one's.
        Ok(self.console.get_or_init(|| opened))
    }

    /// Kills it, as a power cut would; its files stay.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// As [`kill`](Self::kill), but waits for none of its processes to end.
    pub fn send_kill(&mut self) {
        self.process.send_kill();
    }

    /// Starts it again, on the same files.
    ///
    /// # Errors
    ///
    /// As [`Installation::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        super::forget_process(self.installation.config_dir());
        self.console = OnceLock::new();
        self.process = self.installation.spawn()?;
        self.wait()
    }

    /// Whether this minion answers `test.ping`.
    ///
    /// # Errors
    ///
    /// Fails if the `salt` command does not say.
    pub fn hears_from(&self, minion: &str) -> Result<bool> {
        let mut command = self.installation.command("salt")?;
        command.args([
            "--out=json",
            "--static",
            "--timeout=15",
            minion,
            "test.ping",
        ]);
        let (_, answer, complaint) = attempt(&command)?;
        let answer: Value = serde_json::from_str(&answer)
            .with_context(|| format!("salt answered {answer:?} and {complaint:?}"))?;
        Ok(answer.get(minion).and_then(Value::as_bool) == Some(true))
    }

    /// Asks every minion for `test.ping` with the `salt` command and gives what was answered, as
    /// JSON.
    ///
    /// # Errors
    ///
    /// Fails if the command does, for example because no minion answers.
    pub fn ping(&self) -> Result<String> {
        self.salt("*", "test.ping")
    }

    /// The same for any target and function without arguments.
    ///
    /// # Errors
    ///
    /// As [`Master::ping`].
    pub fn salt(&self, target: &str, function: &str) -> Result<String> {
        self.salt_to(&[target], function)
    }

    /// The same with `salt -G`.
    ///
    /// # Errors
    ///
    /// As [`Master::ping`].
    pub fn salt_by_grain(&self, grain: &str, function: &str) -> Result<String> {
        self.salt_to(&["--grain", grain], function)
    }

    /// The same with arguments, and every answer, also that of a function that failed.
    ///
    /// # Errors
    ///
    /// Fails if what the command writes is no JSON.
    pub fn salt_with(&self, target: &str, words: &[&str]) -> Result<Value> {
        let mut command = self.installation.command("salt")?;
        command.args(["--out=json", "--static", "--timeout=20", target]);
        let (_, answer, complaint) = attempt(command.args(words))?;
        serde_json::from_str(&answer)
            .with_context(|| format!("salt answered {answer:?} and {complaint:?}"))
    }

    fn salt_to(&self, target: &[&str], function: &str) -> Result<String> {
        let mut command = self.installation.command("salt")?;
        command.args(["--out=json", "--static", "--timeout=20"]);
        run(command.args(target).arg(function))
    }

    /// Runs the `salt-key` command, and gives what it says as JSON.
    ///
    /// # Errors
    ///
    /// Fails if the command does.
    pub fn salt_key(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.installation.command("salt-key")?;
        let output = run(command.args(["--out=json", "--yes"]).args(arguments))?;
        match serde_json::from_str(&output) {
            Ok(value) => Ok(value),
            Err(error) => bail!("salt-key {arguments:?}: {error}: {output:?}"),
        }
    }
}

/// Two are enough for one minion, and each is 60 MB.
const WORKERS: usize = 2;

const PRECOMPUTED: &str = "\
master_use_pubkey_signature: True
master_pubkey_signature: master_pubkey_signature
";
