//! The signing service on a token of its own: its files, and its process.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use minion::verify::PublicKey;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signer::client::Client;
use signer::pki::Scope;
use tempfile::TempDir;
use uuid::Uuid;

use crate::binaries::{Binaries, mastersign, mastersign_at};
use crate::pki::{Papers, Pki};
use crate::process::{Log, PATIENCE, Process, run};
use crate::salt::Installation;
use crate::token::Token;

/// An installation of the service: token, certificates, configuration and state.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
    token: Token,
    pki: Pki,
    store: Uuid,
}

impl Site {
    /// The options by which a master's commands find its papers, the pinned key and Salt's files.
    #[must_use]
    pub fn on_master(&self, id: &str, master: &Installation) -> Vec<OsString> {
        let mut options = Vec::from(self.pki.master_papers(id).options());
        options.extend([
            "--master-sign-pub".into(),
            self.token.public_key_file().into(),
            "--salt-config".into(),
            master.config_dir().into(),
        ]);
        options
    }

    /// Makes everything that an operator makes before the first start.
    ///
    /// # Errors
    ///
    /// Fails if a part of it can't be made; without SoftHSM2 the error says how to install it.
    pub fn create() -> Result<Self> {
        Self::around(Token::create()?)
    }

    /// The same around a token that is there.
    ///
    /// # Errors
    ///
    /// As [`Site::create`].
    pub fn around(token: Token) -> Result<Self> {
        let directory = TempDir::with_prefix("service-")?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700))?;
        let pki = Pki::create(&directory.path().join("pki"))?;
        let site = Self {
            directory,
            token,
            pki,
            store: Uuid::new_v4(),
        };
        let Papers {
            certificate, key, ..
        } = site.pki.server();
        let text = format!(
            "state_dir = \"state\"\n\
             [listen]\n\
             api = \"127.0.0.1:0\"\n\
             ops = \"127.0.0.1:0\"\n\
             [tls]\n\
             certificate = {certificate:?}\n\
             key = {key:?}\n\
             masters_ca = {masters:?}\n\
             operators_ca = {operators:?}\n\
             [store]\n\
             id = \"{store}\"\n\
             [limits]\n\
             connections = 2000\n\
             connections_per_address = 2000\n\
             requests = 4096\n\
             requests_per_second = 65536\n\
             [hardening]\n\
             allow_root = true\n\
             [audit]\n\
             head_sink = \"log\"\n\
             {hsm}",
            masters = site.pki.authority(Scope::Masters),
            operators = site.pki.authority(Scope::Operators),
            store = site.store,
            hsm = site.token.section()?,
        );
        fs::write(site.config(), text)?;
        fs::set_permissions(site.config(), fs::Permissions::from_mode(0o600))?;
        Ok(site)
    }

    /// Everything that the service reads and writes, but the token.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory().join("mastersign.toml")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.directory().join("state/mastersign.db")
    }

    /// The token.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The certificates.
    #[must_use]
    pub const fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The id of the store, as the configuration has it.
    #[must_use]
    pub const fn store(&self) -> Uuid {
        self.store
    }

    /// Takes that id out of the configuration.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read or written.
    pub fn without_store_id(&self) -> Result<()> {
        self.exchange(&format!("id = \"{}\"\n", self.store), "")
    }

    /// Puts `new` in the place of `old` in the configuration.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read or written, or has no `old`.
    pub fn exchange(&self, old: &str, new: &str) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        anyhow::ensure!(text.contains(old), "{old:?} is not in {text}");
        Ok(fs::write(self.config(), text.replace(old, new))?)
    }

    /// Puts another PIN source, or none, in the place of the file.
    ///
    /// # Errors
    ///
    /// As [`Site::exchange`].
    pub fn exchange_pin(&self, source: &str) -> Result<()> {
        let line = format!("pin = {{ file = {:?} }}\n", self.token.pin_file());
        self.exchange(&line, source)
    }

    /// Changes the configuration: `change` gets its text.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read or written, or if nothing was changed.
    pub fn configure(&self, change: impl FnOnce(&str) -> String) -> Result<()> {
        let before = fs::read_to_string(self.config())?;
        let after = change(&before);
        anyhow::ensure!(before != after, "nothing changed in {before}");
        Ok(fs::write(self.config(), after)?)
    }

    /// Takes its HSM from the service: for tests of what it does without one.
    ///
    /// # Errors
    ///
    /// As [`Site::configure`].
    pub fn without_hsm(&self) -> Result<()> {
        self.configure(|text| match text.find("[[hsm]]") {
            Some(at) => text.split_at(at).0.to_owned(),
            None => text.to_owned(),
        })
    }

    /// Starts the service and waits until it listens; its HSM may still be starting.
    ///
    /// # Errors
    ///
    /// Fails with the end of its log if it does not come up.
    pub fn serve(&self) -> Result<Service> {
        self.serve_with(&[])
    }

    /// The same, with more options.
    ///
    /// # Errors
    ///
    /// As [`Site::serve`].
    pub fn serve_with(&self, options: &[&str]) -> Result<Service> {
        self.serve_in(options, &[])
    }

    /// The same, with more variables in the environment.
    ///
    /// # Errors
    ///
    /// As [`Site::serve`].
    pub fn serve_in(&self, options: &[&str], environment: &[(&str, &Path)]) -> Result<Service> {
        self.start(|command| command.args(options).envs(environment.iter().copied()))
    }

    /// The same as [`Site::serve`], as another user; only root can.
    ///
    /// # Errors
    ///
    /// As [`Site::serve`].
    pub fn serve_as(&self, user: u32) -> Result<Service> {
        self.start_from(mastersign_at(&self.program()?), |command| {
            command.uid(user).gid(user)
        })
    }

    /// The program where other users can start it: where the suite was built there may be no way
    /// for them, below root's home for one.
    ///
    /// # Errors
    ///
    /// Fails if it can't be built or copied.
    pub fn program(&self) -> Result<PathBuf> {
        let program = self.directory().join("mastersign");
        if !program.exists() {
            fs::copy(&Binaries::get()?.mastersign, &program)?;
        }
        Ok(program)
    }

    fn start(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Result<Service> {
        self.start_from(mastersign()?, change)
    }

    fn start_from(
        &self,
        mut command: Command,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Service> {
        command.arg("serve").arg("--config").arg(self.config());
        let process = Process::start(change(&mut command))?;
        let line = process.log().wait_for("serving")?;
        Ok(Service {
            api: address(&line, "api")?,
            ops: address(&line, "ops")?,
            process,
        })
    }
}

/// A running service; it is killed when it is dropped.
#[derive(Debug)]
pub struct Service {
    process: Process,
    api: SocketAddr,
    ops: SocketAddr,
}

impl Service {
    /// Accepts a master's key, with the command that an admin has for it.
    ///
    /// # Errors
    ///
    /// Fails if the command does.
    pub fn accept(&self, admin: &Papers, id: &str, key: &PublicKey) -> Result<()> {
        run(mastersign()?
            .args(["masters", "accept", id, "--key", &key.hash().to_string()])
            .args(["--url", &self.url()])
            .args(admin.options()))?;
        Ok(())
    }

    /// Its address, for `--url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// Writes the ports that it got into the configuration, for commands that read it there.
    ///
    /// # Errors
    ///
    /// As [`Site::exchange`].
    pub fn write_ports(&self, site: &Site) -> Result<()> {
        let line = |name: &str, address: &str| format!("{name} = \"{address}\"\n");
        let free = "127.0.0.1:0";
        site.exchange(&line("api", free), &line("api", &self.api.to_string()))?;
        site.exchange(&line("ops", free), &line("ops", &self.ops.to_string()))
    }

    /// What it says.
    #[must_use]
    pub const fn log(&self) -> &Log {
        self.process.log()
    }

    /// A connection with these papers.
    ///
    /// # Errors
    ///
    /// Fails if the papers don't fit together.
    pub fn client(&self, papers: &Papers) -> Result<Client> {
        Ok(Client::new(&self.url(), &papers.read()?)?)
    }

    /// Asks the listener for operations; gives the status and the body.
    ///
    /// # Errors
    ///
    /// Fails if it does not answer.
    pub fn ask(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.ops)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.ops
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("no end of the head")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The processes that hold a token for it.
    ///
    /// # Errors
    ///
    /// Fails if the service is gone.
    pub fn workers(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                found.push(child.parse()?);
            }
        }
        Ok(found)
    }

    /// Kills the worker process that holds the token, as a crash of the module would.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn kill_worker(&self) -> Result<()> {
        let workers = self.workers()?;
        for worker in &workers {
            kill(Pid::from_raw(i32::try_from(*worker)?), Signal::SIGKILL)?;
        }
        anyhow::ensure!(!workers.is_empty(), "the service has no worker process");
        Ok(())
    }

    /// Kills it and its workers, as a power cut would.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    ///
    /// Fails if it does not end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.terminate()?;
        self.process.wait()
    }
}

/// Reads an address from the line that says where the service listens.
fn address(line: &str, listener: &str) -> Result<SocketAddr> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(listener)?.strip_prefix('=')?.parse().ok())
        .with_context(|| format!("no address of {listener} in {line:?}"))
}
