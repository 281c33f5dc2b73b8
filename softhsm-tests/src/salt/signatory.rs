//! Whoever gets masters their signature files: the real service on a real token, and the two
//! persons who use it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::Installation;
use crate::binaries::mastersign;
use crate::process::{attempt, run};
use crate::service::{Service, Site};

/// A running service with its token, and the commands of master and operator.
#[derive(Debug)]
pub struct Signatory {
    // Dropped in this order.
    service: Service,
    site: Site,
}

impl Signatory {
    /// Makes a token and starts the service on it.
    ///
    /// # Errors
    ///
    /// Fails if one of them does not come up.
    pub fn start() -> Result<Self> {
        let site = Site::create()?;
        let service = site.serve()?;
        service.log().wait_for("the HSM is ready")?;
        Ok(Self { service, site })
    }

    /// Its token, certificates and files.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Ends the service; signature files stay good without it.
    ///
    /// # Errors
    ///
    /// Fails if it does not end well.
    pub fn stop(self) -> Result<Site> {
        let status = self.service.stop()?;
        ensure!(status.success(), "the service ended with {status}");
        Ok(self.site)
    }

    /// The text of `master_sign.pub`.
    ///
    /// # Errors
    ///
    /// Fails if it can't be read.
    pub fn trusted(&self) -> Result<String> {
        let path = self.site.token().public_key_file();
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    /// What master and operator do, with the commands that they have for it: fetch, accept, fetch.
    ///
    /// # Errors
    ///
    /// Fails if a command does, or if the first fetch is given anything.
    pub fn sign(&self, master: &Installation, id: &str, algorithm: Algorithm) -> Result<()> {
        self.site.pki().master(id)?;
        let fetch = self.fetch(master, id, algorithm)?;
        let (status, _, complaint) = attempt(&fetch)?;
        ensure!(status.code() == Some(PENDING), "{status}: {complaint}");
        ensure!(
            !master.signature_file().exists(),
            "a file before the operator decided"
        );
        let admin = self.site.pki().admin(&format!("admin-of-{id}"))?;
        let key = PublicKey::parse(master.public_key()?.as_bytes())?;
        self.service.accept(&admin, id, &key)?;
        run(&fetch)?;
        Ok(())
    }

    /// `mastersign fetch` as this master runs it.
    ///
    /// # Errors
    ///
    /// Fails if `mastersign` can't be built.
    pub fn fetch(&self, master: &Installation, id: &str, algorithm: Algorithm) -> Result<Command> {
        let mut command = mastersign()?;
        command
            .args(["fetch", "--url", &self.service.url()])
            .args(["--algorithm", algorithm.name()])
            .args(self.site.on_master(id, master));
        Ok(command)
    }
}

/// Gives a master a signature of its key that was made by a key which nobody trusts.
///
/// # Errors
///
/// Fails if the file can't be written.
pub fn sign_as_stranger(master: &Installation, algorithm: Algorithm) -> Result<()> {
    let stranger = PKey::from_rsa(Rsa::generate(2048)?)?;
    let digest = match algorithm {
        Algorithm::Sha1 => MessageDigest::sha1(),
        Algorithm::Sha224 => MessageDigest::sha224(),
    };
    let key = PublicKey::parse(master.public_key()?.as_bytes())?;
    let signature = openssl::sign::Signer::new(digest, &stranger)?
        .sign_oneshot_to_vec(key.canonical().as_bytes())?;
    write_signature(master, signature)
}

/// Writes a signature where the master reads it.
///
/// # Errors
///
/// Fails if the file can't be written.
pub fn write_signature(master: &Installation, signature: Vec<u8>) -> Result<()> {
    fs::write(master.signature_file(), Signature::new(signature).to_file())?;
    Ok(())
}

/// The exit code of `mastersign fetch` while no operator has decided.
const PENDING: i32 = 3;
