//! A token of its own for every test, with a signing key that was made inside it.
//!
//! SoftHSM2 finds its tokens through `SOFTHSM2_CONF`, which is one per process. So the variable is
//! only ever set for child processes, and no test opens a module in its own process.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use minion::verify::PublicKey;
use tempfile::TempDir;

use crate::binaries::{Binaries, mastersign};
use crate::counts::Counts;
use crate::process::run;

/// A token with one signing key.
#[derive(Debug)]
pub struct Token {
    directory: TempDir,
    module: PathBuf,
    public: PublicKey,
}

impl Token {
    /// Initialises a token and makes an RSA-2048 signing key in it, with the command that an
    /// operator has for it.
    ///
    /// # Errors
    ///
    /// Fails, with the line that installs SoftHSM2, if there is no PKCS#11 module.
    pub fn create() -> Result<Self> {
        Self::with_bits(2048)
    }

    /// The same with a key of another size.
    ///
    /// # Errors
    ///
    /// As [`Token::create`].
    pub fn with_bits(bits: u32) -> Result<Self> {
        let module = module()?;
        let directory = TempDir::with_prefix("token-")?;
        let path = directory.path();
        fs::create_dir(path.join("tokens"))?;
        write_conf(path)?;
        let out = path.join("master_sign.pub");
        let (pin, so_pin) = (path.join("pin"), path.join("so-pin"));
        write_secret(&pin, PIN)?;
        write_secret(&so_pin, "security-officer")?;
        run(mastersign()?
            .args(["hsm", "init", "--init-token", "--backup=none"])
            .arg(format!("--bits={bits}"))
            .args(["--token-label", LABEL, "--key-id", KEY_ID])
            .arg("--module")
            .arg(&module)
            .args(environment(path).map(|(name, value)| format!("--env={name}={value}")))
            .arg("--pin-file")
            .arg(&pin)
            .arg("--so-pin-file")
            .arg(&so_pin)
            .arg("--out")
            .arg(&out))?;
        let public = PublicKey::parse(&fs::read(&out)?)?;
        Ok(Self {
            directory,
            module,
            public,
        })
    }

    /// Initialises a token and imports this `master_sign.pem`, with the command that an operator
    /// has for it.
    ///
    /// # Errors
    ///
    /// As [`Token::create`].
    pub fn with_imported(pem: &Path) -> Result<Self> {
        let module = module()?;
        let directory = TempDir::with_prefix("token-")?;
        let path = directory.path();
        fs::create_dir(path.join("tokens"))?;
        write_conf(path)?;
        write_secret(&path.join("pin"), PIN)?;
        run(Command::new("softhsm2-util")
            .envs(environment(path))
            .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN])
            .args(["--so-pin", "security-officer", "--module"])
            .arg(&module))?;
        let out = path.join("master_sign.pub");
        run(mastersign()?
            .args(["hsm", "import"])
            .arg(pem)
            .args(["--token-label", LABEL, "--key-id", KEY_ID])
            .arg("--module")
            .arg(&module)
            .args(environment(path).map(|(name, value)| format!("--env={name}={value}")))
            .arg("--pin-file")
            .arg(path.join("pin"))
            .arg("--out")
            .arg(&out))?;
        let public = PublicKey::parse(&fs::read(&out)?)?;
        Ok(Self {
            directory,
            module,
            public,
        })
    }

    /// The public half of the signing key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The file that minions get: `master_sign.pub`.
    #[must_use]
    pub fn public_key_file(&self) -> PathBuf {
        self.directory.path().join("master_sign.pub")
    }

    /// How often the service called which function of this token.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::new(self.directory.path().join("calls"))
    }

    /// The module itself, without the one that counts.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What a process needs in its environment to find the token.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 1] {
        environment(self.directory.path())
    }

    /// Copies the token, as a vendor's cloning would; gives the configuration file of the copy.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be copied.
    pub fn copy_to(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir(folder)?;
        run(Command::new("cp")
            .arg("--recursive")
            .arg(self.directory.path().join("tokens"))
            .arg(folder))?;
        write_conf(folder)
    }

    /// The PIN.
    #[must_use]
    pub const fn pin(&self) -> &'static str {
        PIN
    }

    /// The file with the PIN, as the service reads it.
    #[must_use]
    pub fn pin_file(&self) -> PathBuf {
        self.directory.path().join("pin")
    }

    /// The service's `[[hsm]]` section: this token, reached through the module that counts.
    ///
    /// # Errors
    ///
    /// Fails if that module can't be built.
    pub fn section(&self) -> Result<String> {
        let environment: String = environment(self.directory.path())
            .into_iter()
            .map(|(name, value)| format!("{name} = {value:?}\n"))
            .collect();
        Ok(format!(
            "[[hsm]]\n\
             name = \"suite\"\n\
             module = {fault:?}\n\
             token_label = \"{LABEL}\"\n\
             key_id = \"{KEY_ID}\"\n\
             public_key = {public:?}\n\
             pin = {{ file = {pin:?} }}\n\
             sessions = 2\n\
             [hsm.environment]\n\
             {environment}\
             FAULT_MODULE_TARGET = {target:?}\n\
             FAULT_MODULE_COUNTS = {counts:?}\n",
            fault = Binaries::get()?.fault_module,
            public = self.public_key_file(),
            pin = self.pin_file(),
            target = self.module,
            counts = self.counts().path(),
        ))
    }

    /// Puts another PIN into the file that the service reads; the token keeps its own.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn write_pin(&self, pin: &str) -> Result<()> {
        write_secret(&self.pin_file(), pin)
    }

    /// Puts the token's own PIN back into that file.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn restore_pin(&self) -> Result<()> {
        self.write_pin(PIN)
    }

    /// Takes the token away, as if its cable was pulled: processes that start from here on don't
    /// find it.
    ///
    /// # Errors
    ///
    /// Fails if it is away already.
    pub fn unplug(&self) -> Result<()> {
        let path = self.directory.path();
        fs::rename(path.join("tokens"), path.join("unplugged"))?;
        // An empty directory is a SoftHSM2 without tokens; a missing one is a broken installation.
        Ok(fs::create_dir(path.join("tokens"))?)
    }

    /// Brings it back.
    ///
    /// # Errors
    ///
    /// Fails if it was not away.
    pub fn plug_in(&self) -> Result<()> {
        let path = self.directory.path();
        // A module may have initialised what it found empty.
        fs::remove_dir_all(path.join("tokens"))?;
        Ok(fs::rename(path.join("unplugged"), path.join("tokens"))?)
    }

    /// Has the token sign any `DigestInfo`, which the service never does: for signatures that must
    /// be refused.
    ///
    /// # Errors
    ///
    /// Fails if the token does.
    pub fn sign_anything(&self, digest_info: &[u8]) -> Result<Vec<u8>> {
        let path = self.directory.path();
        let (input, output) = (path.join("to-sign"), path.join("signed"));
        fs::write(&input, digest_info)?;
        run(Command::new("pkcs11-tool")
            .arg("--module")
            .arg(&self.module)
            .envs(environment(path))
            .args([
                "--login",
                "--token-label",
                LABEL,
                "--pin",
                PIN,
                "--id",
                KEY_ID,
            ])
            .args(["--sign", "--mechanism=RSA-PKCS", "--input-file"])
            .arg(&input)
            .arg("--output-file")
            .arg(&output))?;
        Ok(fs::read(output)?)
    }
}

/// The module that the suite runs on.
fn module() -> Result<PathBuf> {
    let module = env::var("PKCS11_MODULE").unwrap_or_else(|_| SOFTHSM2.to_owned());
    let module = PathBuf::from(module);
    ensure!(
        module.exists(),
        "there is no PKCS#11 module at {}; install SoftHSM2 with `apt-get install softhsm2 \
         opensc`, or name another module in PKCS11_MODULE",
        module.display()
    );
    Ok(module)
}

/// What tells the module where its tokens are.
fn environment(directory: &Path) -> [(&'static str, String); 1] {
    let file = directory.join("softhsm2.conf");
    [("SOFTHSM2_CONF", file.to_string_lossy().into_owned())]
}

/// The configuration of a SoftHSM2 with its tokens in this folder.
fn write_conf(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens");
    fs::write(
        &path,
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        ),
    )?;
    Ok(path)
}

fn write_secret(path: &Path, secret: &str) -> Result<()> {
    fs::write(path, secret)?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o600),
    )?)
}

const SOFTHSM2: &str = "/usr/lib/softhsm/libsofthsm2.so";
const LABEL: &str = "suite";
const KEY_ID: &str = "a008";
const PIN: &str = "pin-of-the-suite";
