//! The pool of HSM workers without the service around it: its permits, its latch, and its workers
//! by name.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use minion::verify::{KeyHash, PublicKey};
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use signer::authorize::{
    Identity, MasterId, OperatorsCa, Permit, SignedStatement, Statement, Verb, authorize,
};
use signer::clock::{Clock, SystemClock};
use signer::config::Config;
use signer::hsm::{Attempts, Context, HsmStatus, LatchError, LatchKey, PinLatch, Pool, State};
use signer::pki::Scope;
use signer::store::{KeyRecord, Master, Status};
use uuid::Uuid;

use crate::binaries::Binaries;
use crate::people::Operator;
use crate::process::PATIENCE;
use crate::service::Site;
use crate::token::Token;

/// An installation whose pool the test starts by itself.
#[derive(Debug)]
pub struct Rig {
    site: Site,
    admin: Operator,
    operators: OperatorsCa,
    latch: Arc<MemoryLatch>,
    signing_key: Option<KeyHash>,
}

impl Rig {
    /// A token, an operators' CA with one admin, and a configuration.
    ///
    /// # Errors
    ///
    /// Fails if a part of it can't be made.
    pub fn create() -> Result<Self> {
        Self::around(Site::create()?)
    }

    /// The same with a signing key of another size.
    ///
    /// # Errors
    ///
    /// As [`Rig::create`].
    pub fn with_bits(bits: u32) -> Result<Self> {
        Self::around(Site::around(Token::with_bits(bits)?)?)
    }

    fn around(site: Site) -> Result<Self> {
        let admin = Operator::new(&site.pki().admin("ada")?)?;
        let operators = fs::read(site.pki().authority(Scope::Operators))?;
        Ok(Self {
            admin,
            operators: OperatorsCa::from_pem(&operators)?,
            latch: Arc::default(),
            signing_key: None,
            site,
        })
    }

    /// The files and the token.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// The store whose acceptances count.
    #[must_use]
    pub const fn store(&self) -> Uuid {
        self.site.store()
    }

    /// What the pool remembers of refused PINs, also for the next pool of this rig.
    #[must_use]
    pub fn latch(&self) -> &MemoryLatch {
        &self.latch
    }

    /// Has the pools from here on find this signing key in the store.
    pub const fn store_has(&mut self, key: KeyHash) {
        self.signing_key = Some(key);
    }

    /// Changes the configuration file, as an editor would.
    ///
    /// # Errors
    ///
    /// Fails if the text does not occur in it.
    pub fn edit(&self, from: &str, to: &str) -> Result<()> {
        let path = self.site.config();
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{from:?} is not in {text}");
        Ok(fs::write(path, text.replace(from, to))?)
    }

    /// Has the workers load the module itself: counting costs time.
    ///
    /// # Errors
    ///
    /// Fails if that was done before.
    pub fn without_counting(&self) -> Result<()> {
        let counting = format!("module = {:?}", Binaries::get()?.fault_module);
        self.edit(
            &counting,
            &format!("module = {:?}", self.site.token().module()),
        )
    }

    /// Starts the pool.
    ///
    /// # Errors
    ///
    /// Fails if the configuration can't be read.
    pub fn start(&self) -> Result<Pool> {
        self.start_with(&Binaries::get()?.mastersign)
    }

    /// Starts the pool with another program in the place of its workers.
    ///
    /// # Errors
    ///
    /// As [`Rig::start`].
    pub fn start_with(&self, executable: &Path) -> Result<Pool> {
        let config = self.site.config();
        let context = Context {
            executable: executable.to_owned(),
            store: self.store(),
            signing_key: self.signing_key,
            latch: Arc::clone(&self.latch) as Arc<dyn PinLatch>,
            latch_key: LatchKey::new(&[7; 32]),
            attempts: Attempts::new(self.site.directory()),
            force_login: false,
            config: config.clone(),
        };
        Ok(Pool::start(Config::load(&config)?.hsms, context))
    }

    /// Adds a second HSM, on a copy of this token.
    ///
    /// # Errors
    ///
    /// Fails if the token can't be copied.
    pub fn add_twin(&self, token: &Token) -> Result<()> {
        let folder = self.site.directory().join("twin");
        let conf = token.copy_to(&folder)?;
        let path = self.site.config();
        let mut text = fs::read_to_string(&path)?;
        let (_, section) = text.split_once("[[hsm]]").context("no HSM")?;
        let [(variable, original)] = self.site.token().environment();
        let section = section
            .replace("name = \"suite\"", "name = \"twin\"")
            .replace(
                &format!("{variable} = {original:?}"),
                &format!("{variable} = {conf:?}"),
            );
        let pinned = format!("public_key = {:?}\n", self.site.token().public_key_file());
        text = format!("{text}\n[[hsm]]{}", section.replace(&pinned, ""));
        Ok(fs::write(path, text)?)
    }

    /// The acceptance of a key by this rig's admin.
    ///
    /// # Errors
    ///
    /// Fails if the admin's key is of the wrong kind.
    pub fn acceptance(&self, key: &PublicKey) -> Result<SignedStatement> {
        self.admin.sign(&statement(self.store(), key)?)
    }

    /// The permit for a key that is accepted.
    ///
    /// # Errors
    ///
    /// Fails if the acceptance can't be made.
    pub fn permit(&self, key: &Arc<PublicKey>) -> Result<Permit> {
        let id: MasterId = MASTER.parse()?;
        let mut master = Master::new(id.clone());
        master.generation = 1;
        let record = KeyRecord {
            key: Some(Arc::clone(key)),
            status: Status::Accepted,
            since: SystemClock.now(),
            decision: Some(Arc::new(self.acceptance(key)?)),
        };
        master.keys.insert(key.hash(), record);
        let caller = Identity::Master(id);
        let key = Arc::clone(key);
        Ok(authorize(
            &caller,
            key,
            Some(&master),
            &self.operators,
            self.store(),
        )?)
    }
}

/// A program that stands between the service and its worker, and meddles.
///
/// Each frame passes through a line of Python, which sees `kind` and may change `body`: 4 is an
/// order to sign, 5 is a report with a signature.
#[derive(Debug)]
pub struct Impostor(PathBuf);

impl Impostor {
    /// Writes the program.
    ///
    /// # Errors
    ///
    /// Fails if its file can't be written.
    pub fn new(rig: &Rig, line: &str) -> Result<Self> {
        let path = rig.site.directory().join("impostor");
        let worker = &Binaries::get()?.mastersign;
        let text = IMPOSTOR
            .replace("WORKER", &worker.to_string_lossy())
            .replace("MEDDLE", line);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What an admin says to accept a key.
///
/// # Errors
///
/// Never: the master's id is well-formed.
pub fn statement(store: Uuid, key: &PublicKey) -> Result<Statement> {
    Ok(Statement {
        verb: Verb::Accept,
        store,
        master: MASTER.parse()?,
        key: Some(key.hash()),
        generation: 1,
        time: SystemClock.now(),
    })
}

/// So many different public keys of 2048 bits, fast: products of few primes, whose private halves
/// nobody needs.
///
/// # Errors
///
/// Fails if OpenSSL finds no primes.
pub fn keys(count: usize) -> Result<Vec<Arc<PublicKey>>> {
    let mut primes = Vec::new();
    // The n-th prime makes n - 1 new pairs.
    let mut pairs = 0_usize;
    while pairs < count {
        pairs = pairs.saturating_add(primes.len());
        let mut prime = BigNum::new()?;
        prime.generate_prime(1024, false, None, None)?;
        primes.push(prime);
    }
    let pairs = primes
        .iter()
        .enumerate()
        .flat_map(|(at, p)| primes.iter().take(at).map(move |q| (p, q)));
    pairs
        .take(count)
        .map(|(p, q)| Ok(Arc::new(product(p, q)?)))
        .collect()
}

fn product(p: &BigNumRef, q: &BigNumRef) -> Result<PublicKey> {
    let mut modulus = BigNum::new()?;
    modulus.checked_mul(p, q, &mut *BigNumContext::new()?)?;
    Ok(PublicKey::from_components(&modulus.to_vec(), &[1, 0, 1])?)
}

/// The only HSM of a pool.
///
/// # Errors
///
/// Fails if there is none.
pub fn only(pool: &Pool) -> Result<HsmStatus> {
    pool.status().into_iter().next().context("no HSM")
}

/// Waits until the only HSM is in this state.
///
/// # Errors
///
/// Fails, with the state that it is in instead, when the patience is over.
pub async fn reaches(pool: &Pool, state: State) -> Result<HsmStatus> {
    until(pool, |all| matches!(all, [only] if only.state == state)).await?;
    only(pool)
}

/// Waits until the status of the HSMs fits.
///
/// # Errors
///
/// Fails, with what they are instead, when the patience is over.
pub async fn until(pool: &Pool, fits: impl Fn(&[HsmStatus]) -> bool) -> Result<()> {
    match tokio::time::timeout(PATIENCE, pool.until(fits)).await {
        Ok(_) => Ok(()),
        Err(_) => bail!("still {:?}", pool.status()),
    }
}

/// A latch that lasts as long as the test.
#[derive(Debug, Default)]
pub struct MemoryLatch(Mutex<HashSet<(String, [u8; 32])>>);

impl MemoryLatch {
    /// How many PINs are latched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<(String, [u8; 32])>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PinLatch for MemoryLatch {
    fn is_latched(&self, serial: &str, tag: &[u8; 32]) -> bool {
        self.lock().contains(&(serial.to_owned(), *tag))
    }

    fn latch<'a>(
        &'a self,
        serial: &'a str,
        tag: [u8; 32],
        _reason: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), LatchError>> + Send + 'a>> {
        self.lock().insert((serial.to_owned(), tag));
        Box::pin(std::future::ready(Ok(())))
    }
}

const MASTER: &str = "m1.example";
/// The two directions share the condition: an order and a report of the same number never both
/// match.
const IMPOSTOR: &str = r#"#!/usr/bin/env python3
import os, socket, struct, subprocess, sys, threading

ours, theirs = socket.socketpair()
service = socket.socket(fileno=0)
subprocess.Popen(["WORKER", *sys.argv[1:]], stdin=theirs)
theirs.close()


def exactly(source, count):
    data = bytearray()
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def forward(source, target, orders):
    while True:
        head = exactly(source, 8)
        body = exactly(source, struct.unpack(">II", head)[0])
        kind = body[0] if orders == (body[0] == 4) else None
        MEDDLE
        target.sendall(head + body)


threading.Thread(target=forward, args=(service, ours, True)).start()
forward(ours, service, False)
"#;
