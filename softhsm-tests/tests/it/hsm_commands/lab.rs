//! A SoftHSM2 without a token yet, and the commands that make one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use softhsm_tests::binaries::{Binaries, mastersign};
use softhsm_tests::counts::Counts;
use softhsm_tests::process::{attempt, run};
use tempfile::TempDir;

/// A SoftHSM2 of its own, without a token yet, seen through the module that counts.
pub(crate) struct Lab {
    directory: TempDir,
    target: PathBuf,
}

impl Lab {
    pub(crate) fn create() -> Result<Self> {
        let directory = TempDir::with_prefix("hsm-commands-")?;
        let target = std::env::var_os("PKCS11_MODULE").unwrap_or_else(|| SOFTHSM2.into());
        let lab = Self {
            directory,
            target: target.into(),
        };
        ensure!(
            lab.target.exists(),
            "there is no PKCS#11 module at {}; install it with `apt-get install softhsm2 opensc`",
            lab.target.display()
        );
        fs::create_dir(lab.path("tokens"))?;
        fs::write(
            lab.path("softhsm2.conf"),
            format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                lab.path("tokens").display()
            ),
        )?;
        lab.secret("pin", PIN)?;
        lab.secret("so-pin", "security-officer")?;
        Ok(lab)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::new(self.path("calls"))
    }

    pub(crate) fn secret(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.path(name), format!("{content}\n"))?;
        Ok(fs::set_permissions(
            self.path(name),
            fs::Permissions::from_mode(0o400),
        )?)
    }

    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("SOFTHSM2_CONF", self.path("softhsm2.conf")),
            ("FAULT_MODULE_TARGET", self.target.clone()),
            ("FAULT_MODULE_COUNTS", self.path("calls")),
        ]
    }

    /// `mastersign hsm`, run where the PIN files are; the environment is only on its command line.
    pub(crate) fn hsm(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = mastersign()?;
        command
            .current_dir(self.directory.path())
            .arg("hsm")
            .args(arguments);
        command.arg("--module").arg(&Binaries::get()?.fault_module);
        for (name, value) in self.environment() {
            command
                .arg("--env")
                .arg(format!("{name}={}", value.display()));
        }
        Ok(command)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.hsm(arguments)?;
        Ok(serde_json::from_str(&run(command.arg("--output=json"))?)?)
    }

    /// What the command says on standard error when it refuses.
    pub(crate) fn refused(&self, arguments: &[&str]) -> Result<String> {
        let (status, answer, complaints) = attempt(&self.hsm(arguments)?)?;
        ensure!(status.code() == Some(1), "{status}: {answer}{complaints}");
        Ok(complaints)
    }

    /// Makes the token and a key of 2048 bits.
    pub(crate) fn init(&self, more: &[&str]) -> Result<Value> {
        let mut arguments = vec![
            "init",
            "--init-token",
            "--token-label",
            LABEL,
            "--pin-file=pin",
            "--so-pin-file=so-pin",
            "--bits=2048",
        ];
        arguments.extend(if more.is_empty() {
            &["--backup=none"]
        } else {
            more
        });
        self.json(&arguments)
    }

    /// Makes the token and no key.
    pub(crate) fn token(&self) -> Result<()> {
        let mut command = Command::new("softhsm2-util");
        command
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN])
            .args(["--so-pin", "security-officer", "--module"])
            .arg(&self.target);
        run(&command).map(drop)
    }

    pub(crate) fn tool_command(&self) -> Command {
        let mut command = Command::new("pkcs11-tool");
        command
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .arg("--module")
            .arg(&self.target)
            .args(["--token-label", LABEL]);
        command
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> Result<String> {
        run(self.tool_command().args(arguments))
    }
}

/// The label of the token.
pub(crate) const LABEL: &str = "lab";
/// Its PIN.
pub(crate) const PIN: &str = "pin-of-the-lab";
const SOFTHSM2: &str = "/usr/lib/softhsm/libsofthsm2.so";
