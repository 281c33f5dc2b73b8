//! The certificates of one test: three authorities, a server, and whoever the test needs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use signer::authorize::{Identity, MasterId, OperatorRole};
use signer::client::Credentials;
use signer::clock::{Clock, SystemClock};
use signer::pki::{Authority, Existing, Host, Profile, Scope, write_private, write_public};

/// The authorities, and the folder in which everything that they issue lies.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    service: Authority,
    masters: Authority,
    operators: Authority,
}

impl Pki {
    /// Makes the authorities and the service's certificate, for 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let authority = |scope: Scope| -> Result<Authority> {
            let mut made = Authority::create(scope, VALID.saturating_mul(2), SystemClock.now())?;
            made.save(&folder.join(scope.name()), Existing::Keep)?;
            Ok(made)
        };
        let pki = Self {
            folder: folder.to_owned(),
            service: authority(Scope::Service)?,
            masters: authority(Scope::Masters)?,
            operators: authority(Scope::Operators)?,
        };
        pki.issue_server("server")?;
        Ok(pki)
    }

    fn issue_server(&self, name: &str) -> Result<Papers> {
        let host = Host::Address([127, 0, 0, 1].into());
        self.issue(&self.service, &Profile::Server(vec![host]), name)
    }

    /// The certificate of an authority.
    #[must_use]
    pub fn authority(&self, scope: Scope) -> PathBuf {
        self.folder.join(scope.name()).join("ca.pem")
    }

    /// The service's certificate and key.
    #[must_use]
    pub fn server(&self) -> Papers {
        self.papers("server")
    }

    /// Another certificate and key for the service, in files of their own.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn server_again(&self) -> Result<Papers> {
        self.issue_server("server-again")
    }

    /// A certificate for a master.
    ///
    /// # Errors
    ///
    /// Fails if `id` is no master's id or a file can't be written.
    pub fn master(&self, id: &str) -> Result<Papers> {
        let profile = Profile::Client(Identity::Master(id.parse()?));
        self.issue(&self.masters, &profile, &format!("master-{id}"))
    }

    /// Where the certificate of a master lies.
    #[must_use]
    pub fn master_papers(&self, id: &str) -> Papers {
        self.papers(&format!("master-{id}"))
    }

    /// A second certificate for a master that has one.
    ///
    /// # Errors
    ///
    /// As [`Pki::master`].
    pub fn master_again(&self, id: &str) -> Result<Papers> {
        let profile = Profile::Client(Identity::Master(id.parse()?));
        self.issue(&self.masters, &profile, &format!("master-{id}-again"))
    }

    /// A certificate for an operator who may decide.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn admin(&self, name: &str) -> Result<Papers> {
        let identity = Identity::Operator {
            role: OperatorRole::Admin,
            name: name.to_owned(),
        };
        self.issue(
            &self.operators,
            &Profile::Client(identity),
            &format!("admin-{name}"),
        )
    }

    /// A certificate for an operator who may read the audit log.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn auditor(&self, name: &str) -> Result<Papers> {
        let identity = Identity::Operator {
            role: OperatorRole::Auditor,
            name: name.to_owned(),
        };
        let profile = Profile::Client(identity);
        self.issue(&self.operators, &profile, &format!("auditor-{name}"))
    }

    /// What somebody can make who has stolen the masters' CA, the one that is kept online: a
    /// certificate that says it is an admin's. Our own code refuses to issue it.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be written.
    pub fn admin_by_the_masters_ca(&self, name: &str) -> Result<Papers> {
        let folder = self.folder.join(Scope::Masters.name());
        let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
        let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(folder.join("ca.pem"))?, key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names =
            vec![SanType::URI(format!("mastersign:admin:{name}").try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let own = KeyPair::generate()?;
        let certificate = params.signed_by(&own, &issuer)?.pem();
        self.write(
            &format!("stolen-{name}"),
            &certificate,
            &own.serialize_pem(),
        )
    }

    fn issue(&self, authority: &Authority, profile: &Profile, name: &str) -> Result<Papers> {
        let issued = authority.issue(profile, VALID, SystemClock.now())?;
        self.write(name, &issued.certificate_pem, &issued.key_pem)
    }

    fn write(&self, name: &str, certificate: &str, key: &str) -> Result<Papers> {
        let papers = self.papers(name);
        write_public(&papers.certificate, certificate, Existing::Keep)?;
        write_private(&papers.key, key, Existing::Keep)?;
        Ok(papers)
    }

    fn papers(&self, name: &str) -> Papers {
        Papers {
            ca: self.authority(Scope::Service),
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

/// What somebody shows at the service, and whom they believe there; as files.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The authority of the service's certificate.
    pub ca: PathBuf,
    /// The own certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Papers {
    /// The same, read.
    ///
    /// # Errors
    ///
    /// Fails if a file is not what it should be.
    pub fn read(&self) -> Result<Credentials> {
        Ok(Credentials::read(&self.ca, &self.certificate, &self.key)?)
    }

    /// The options of every command that shows them to the service.
    #[must_use]
    pub fn options(&self) -> [OsString; 6] {
        [
            "--ca".into(),
            self.ca.clone().into(),
            "--certificate".into(),
            self.certificate.clone().into(),
            "--private-key".into(),
            self.key.clone().into(),
        ]
    }
}

/// The id of the master to whom the papers belong.
///
/// # Errors
///
/// Fails if they are an operator's.
pub fn master_id(credentials: &Credentials) -> Result<&MasterId> {
    match credentials.identity() {
        Identity::Master(id) => Some(id),
        Identity::Operator { .. } => None,
    }
    .context("the certificate is not a master's")
}

/// Longer than the two weeks before whose end `doctor` warns.
const VALID: Duration = Duration::from_secs(30 * 24 * 60 * 60);
