//! Everything that has to be there before the service starts: certificates, a master's keys, a
//! token, a configuration.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hsm_config::Profile as Provider;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use crate::authorize::{Identity, MasterId, OperatorRole};
use crate::clock::{Clock, SystemClock};
use crate::pki::{self, Authority, Existing, Host, Profile, Scope};
use crate::terminal;

/// The files of a trial installation, by what they are.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) folder: PathBuf,
    /// The authority that vouches for the service.
    pub(super) ca: PathBuf,
    pub(super) admin: PathBuf,
    pub(super) admin_key: PathBuf,
    /// The salt-master's own key pair.
    pub(super) master_pub: PathBuf,
    pub(super) master_pem: PathBuf,
    /// The certificate with which that master calls the service.
    pub(super) client: PathBuf,
    pub(super) client_key: PathBuf,
    pub(super) master_sign_pub: PathBuf,
    pub(super) signature: PathBuf,
    pub(super) config: PathBuf,
    token: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name);
        Self {
            folder: folder.to_owned(),
            ca: file("ca.pem"),
            admin: file("admin.pem"),
            admin_key: file("admin.key"),
            master_pub: file("master.pub"),
            master_pem: file("master.pem"),
            client: file("master-client.pem"),
            client_key: file("master-client.key"),
            master_sign_pub: file("master_sign.pub"),
            signature: file("master_pubkey_signature"),
            config: file(CONFIG),
            token: file("token"),
        }
    }

    /// Makes all of them but the signature.
    pub(super) fn make(&self, master_pub: Option<&Path>) -> anyhow::Result<()> {
        // First what can be missing on this machine, so that nothing else was done in vain.
        let module = module()?;
        self.make_master(master_pub)?;
        terminal::note("Making the authorities and certificates ...")?;
        self.make_certificates()?;
        terminal::note(format_args!(
            "Making a token and the signing key in it ({}) ...",
            module.display()
        ))?;
        self.make_token(&module)?;
        self.write_config(&module)
    }

    /// Copies the operator's own master key pair, or makes a sample.
    fn make_master(&self, given: Option<&Path>) -> anyhow::Result<()> {
        let (public, private) = match given {
            Some(path) => {
                let private = path.with_extension("pem");
                let read = |path: &Path| {
                    fs::read_to_string(path)
                        .with_context(|| format!("cannot read {}", path.display()))
                };
                (
                    read(path)?,
                    read(&private).context("the private key beside master.pub makes the proof")?,
                )
            }
            None => {
                terminal::note("Making a sample master key (RSA-2048) ...")?;
                let key = PKey::from_rsa(Rsa::generate(2048)?)?;
                let text =
                    |pem| String::from_utf8(pem).context("OpenSSL wrote a PEM that is no text");
                (
                    text(key.public_key_to_pem()?)?,
                    text(key.private_key_to_pem_pkcs8()?)?,
                )
            }
        };
        pki::write_public(&self.master_pub, &public, Existing::Keep)?;
        pki::write_private(&self.master_pem, &private, Existing::Keep)?;
        Ok(())
    }

    fn make_certificates(&self) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let admin = Identity::Operator {
            role: OperatorRole::Admin,
            name: "dev".to_owned(),
        };
        let server = Profile::Server(vec![
            Host::Address(Ipv4Addr::LOCALHOST.into()),
            Host::Name("localhost".to_owned()),
        ]);
        let wanted = [
            (
                Scope::Service,
                server,
                self.folder.join("server.pem"),
                self.folder.join("server.key"),
            ),
            (
                Scope::Operators,
                Profile::Client(admin),
                self.admin.clone(),
                self.admin_key.clone(),
            ),
            (
                Scope::Masters,
                Profile::Client(master_identity()?),
                self.client.clone(),
                self.client_key.clone(),
            ),
        ];
        for (scope, profile, certificate, key) in wanted {
            let mut authority = Authority::create(scope, VALIDITY, now)?;
            authority.save(&self.folder.join("pki").join(scope.name()), Existing::Keep)?;
            let ca = match scope {
                Scope::Service => self.ca.clone(),
                Scope::Masters | Scope::Operators => {
                    self.folder.join(format!("{}-ca.pem", scope.name()))
                }
            };
            pki::write_public(&ca, authority.certificate_pem(), Existing::Keep)?;
            let issued = authority.issue(&profile, VALIDITY, now)?;
            pki::write_public(&certificate, &issued.certificate_pem, Existing::Keep)?;
            pki::write_private(&key, &issued.key_pem, Existing::Keep)?;
        }
        Ok(())
    }

    /// Makes the token with the command that an operator has for it, which sets the module's
    /// environment.
    fn make_token(&self, module: &Path) -> anyhow::Result<()> {
        pki::make_folder(&self.token)?;
        pki::make_folder(&self.token.join("tokens"))?;
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            self.token.join("tokens").display()
        );
        pki::write_public(&self.token.join("softhsm2.conf"), &conf, Existing::Keep)?;
        for secret in ["pin", "so-pin"] {
            let random = uuid::Uuid::new_v4().simple().to_string();
            pki::write_private(&self.token.join(secret), &random, Existing::Keep)?;
        }
        let output =
            Command::new(std::env::current_exe().context("cannot tell which program this is")?)
                .args([
                    "hsm",
                    "init",
                    "--init-token",
                    "--backup=none",
                    "--token-label",
                    LABEL,
                ])
                .args(["--key-id", KEY_ID, "--key-label", "master_sign", "--module"])
                .arg(module)
                .arg(format!(
                    "--env=SOFTHSM2_CONF={}",
                    self.token.join("softhsm2.conf").display()
                ))
                .arg("--pin-file")
                .arg(self.token.join("pin"))
                .arg("--so-pin-file")
                .arg(self.token.join("so-pin"))
                .arg("--out")
                .arg(&self.master_sign_pub)
                .stdin(Stdio::null())
                .output()
                .context("cannot start `mastersign hsm init`")?;
        ensure!(
            output.status.success(),
            "`mastersign hsm init` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    fn write_config(&self, module: &Path) -> anyhow::Result<()> {
        let (api, ops) = (port(8443)?, port(8444)?);
        let text = |path: &Path| toml::Value::from(path.display().to_string());
        // Whoever tries it as root goes on as root, should the folder be kept.
        let root = nix::unistd::geteuid().is_root();
        let config = format!(
            "state_dir = {state}\n\n\
             [listen]\napi = \"127.0.0.1:{api}\"\nops = \"127.0.0.1:{ops}\"\n\n\
             [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
             masters_ca = \"masters-ca.pem\"\noperators_ca = \"operators-ca.pem\"\n\n\
             [store]\nid = \"{store}\"\n\n\
             [audit]\nhead_sink = \"log\"\n\n\
             [hardening]\nallow_root = {root}\n\n\
             [[hsm]]\nname = \"dev\"\nprofile = \"softhsm2\"\nmodule = {module}\ntoken_label = \"{LABEL}\"\n\
             key_id = \"{KEY_ID}\"\npublic_key = {public}\npin = {{ file = {pin} }}\n\n\
             [hsm.environment]\nSOFTHSM2_CONF = {conf}\n",
            state = text(&self.folder.join("state")),
            store = uuid::Uuid::new_v4(),
            module = text(module),
            public = text(&self.master_sign_pub),
            pin = text(&self.token.join("pin")),
            conf = text(&self.token.join("softhsm2.conf")),
        );
        pki::write_private(&self.config, &config, Existing::Keep)?;
        Ok(())
    }
}

/// The master that the sample certificate is for.
pub(super) fn master_id() -> anyhow::Result<MasterId> {
    "dev-master".parse().context("the sample's master id")
}

fn master_identity() -> anyhow::Result<Identity> {
    Ok(Identity::Master(master_id()?))
}

/// Where SoftHSM2 is on this machine.
fn module() -> anyhow::Result<PathBuf> {
    match Provider::find("softhsm2")?.module() {
        Some(path) => Ok(path.clone()),
        None => bail!("SoftHSM2 is not installed: apt-get install softhsm2"),
    }
}

/// The port that people expect, or a free one if it is taken.
fn port(wanted: u16) -> anyhow::Result<u16> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("cannot listen on 127.0.0.1")?;
    Ok(bound
        .local_addr()
        .context("cannot tell a free port")?
        .port())
}

/// The file that `mastersign serve` reads.
pub(super) const CONFIG: &str = "mastersign.toml";
const KEY_ID: &str = "a1";
const LABEL: &str = "mastersign-dev";
/// A trial is over in minutes; a folder that is kept stays usable for a year.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
