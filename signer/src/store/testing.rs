//! Parties and backends for the tests of the store.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use minion::verify::{Algorithm, KeyHash, PublicKey, Signature};
use openssl::rsa::Padding;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::backend::{self, Backend, BoxFuture, Commit, Key, Page, Snapshot, Transaction};
use super::{Actor, Memory, OpenError, Publication, Sqlite, State, Store};
use crate::authorize::testing::{Issued, MasterKey, TestCa};
use crate::authorize::{CheckedStatement, MasterId, SignedStatement, Statement, Verb};
use crate::clock::{Clock, Timestamp};

/// An installation: its operators, its clock, its HSM.
pub(super) struct Site {
    pub(super) ca: TestCa,
    pub(super) admin: Issued,
    pub(super) signer: MasterKey,
}

impl Site {
    pub(super) fn new() -> Self {
        let ca = TestCa::new();
        let admin = ca.admin("ada");
        let signer = MasterKey::generate();
        Self { ca, admin, signer }
    }

    pub(super) async fn try_open(&self, backend: Arc<dyn Backend>) -> Result<Store, OpenError> {
        self.try_open_as(backend, None).await
    }

    /// With this id in the configuration.
    pub(super) async fn try_open_as(
        &self,
        backend: Arc<dyn Backend>,
        id: Option<Uuid>,
    ) -> Result<Store, OpenError> {
        let operators = Arc::new(self.ca.operators());
        Store::open(backend, operators, Arc::new(Noon), id).await
    }

    pub(super) async fn open(&self, backend: Arc<dyn Backend>) -> Store {
        self.try_open(backend).await.unwrap()
    }

    pub(super) fn sign(
        &self,
        store: &Store,
        verb: Verb,
        id: &str,
        key: Option<KeyHash>,
        generation: u64,
    ) -> SignedStatement {
        self.admin.sign(&Statement {
            verb,
            store: store.uuid(),
            master: master(id),
            key,
            generation,
            time: "2026-06-01T00:00:00Z".parse().unwrap(),
        })
    }

    pub(super) fn statement(
        &self,
        store: &Store,
        verb: Verb,
        id: &str,
        key: Option<KeyHash>,
        generation: u64,
    ) -> CheckedStatement {
        let signed = self.sign(store, verb, id, key, generation);
        self.ca.operators().check(&signed).unwrap()
    }

    /// What the HSM would make of that key.
    pub(super) fn publication(&self, id: &str, key: &PublicKey, generation: u64) -> Publication {
        let algorithm = Algorithm::Sha1;
        let rsa = self.signer.private.rsa().unwrap();
        let mut bytes = vec![0; 256];
        let info = algorithm.digest_info(key.canonical().as_bytes());
        rsa.private_encrypt(&info, &mut bytes, Padding::PKCS1)
            .unwrap();
        Publication {
            signing_key: self.signer.public.hash(),
            algorithm,
            key: Arc::new(key.clone()),
            master: master(id),
            generation,
            signature: Signature::new(bytes),
        }
    }

    /// A store where the key of `m1` is accepted and signed.
    pub(super) async fn signed(&self, store: &Store) -> PublicKey {
        let key = key(1);
        store.add_signing_key(&self.signer.public).await.unwrap();
        present(store, "m1", &key).await;
        let accepted = self.statement(store, Verb::Accept, "m1", Some(key.hash()), 1);
        store.decide(accepted).await.unwrap();
        store
            .publish(self.publication("m1", &key, 1))
            .await
            .unwrap();
        key
    }
}

pub(super) async fn present(store: &Store, id: &str, key: &PublicKey) -> super::Presented {
    store
        .present(&master(id), key, &Actor::service())
        .await
        .unwrap()
}

pub(super) fn master(id: &str) -> MasterId {
    id.parse().unwrap()
}

/// A well-formed public key that nobody has the private half of.
pub(super) fn key(number: u32) -> PublicKey {
    let mut modulus = vec![0xff];
    for part in 0_u32..8 {
        modulus.extend(Sha256::digest(
            [number.to_be_bytes(), part.to_be_bytes()].concat(),
        ));
    }
    modulus.truncate(256);
    modulus[255] |= 1;
    PublicKey::from_components(&modulus, &[1, 0, 1]).unwrap()
}

/// Always the same time.
#[derive(Debug)]
pub(super) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }
}

/// A database that can be opened again.
pub(super) trait Database {
    fn open(&self) -> Arc<dyn Backend>;
}

impl Database for Memory {
    fn open(&self) -> Arc<dyn Backend> {
        Arc::new(self.reopen())
    }
}

/// A SQLite file in a directory of its own.
pub(super) struct File(pub(super) tempfile::TempDir);

impl File {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("state/mastersign.db")
    }

    /// The file as an intruder opens it.
    pub(super) fn by_hand(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    pub(super) fn value(&self, row: &str) -> Option<Vec<u8>> {
        let query = "SELECT value FROM rows WHERE name = ?1";
        self.by_hand()
            .query_row(query, [row], |row| row.get(0))
            .ok()
    }

    pub(super) fn write(&self, row: &str, value: &[u8]) {
        let statement = "INSERT OR REPLACE INTO rows (name, value, created, modified)
                         VALUES (?1, ?2, 1, 1)";
        let values = rusqlite::params![row, value];
        self.by_hand().execute(statement, values).unwrap();
    }

    pub(super) fn remove(&self, row: &str) {
        let statement = "DELETE FROM rows WHERE name = ?1";
        assert_eq!(self.by_hand().execute(statement, [row]).unwrap(), 1);
    }
}

impl Database for File {
    fn open(&self) -> Arc<dyn Backend> {
        Arc::new(Sqlite::open(&self.path()).unwrap())
    }
}

impl Store {
    /// Makes the state in memory another one than the database's.
    pub(crate) fn edit_state(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.inner.state.write().unwrap());
    }
}

/// Breaks a backend on demand, and holds commits back until they are let go.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Memory,
    fault: AtomicU8,
    /// How many commits were begun, the one that creates the store included.
    begun: AtomicUsize,
    /// Commits wait for this; held by a test that wants several operations to wait together.
    pub(crate) gate: tokio::sync::Mutex<()>,
    pub(super) sizes: Mutex<Vec<usize>>,
}

/// What happens to commits and reads.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    None = 0,
    /// It is applied, and the answer is lost.
    AnswerLost = 1,
    /// It is not applied, and the answer is lost.
    RequestLost = 2,
    /// As `AnswerLost`, and reading does not work either.
    Silence = 3,
    Unavailable = 4,
}

impl Faulty {
    pub(crate) fn new(inner: &Memory) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.reopen(),
            fault: AtomicU8::new(0),
            begun: AtomicUsize::new(0),
            gate: tokio::sync::Mutex::default(),
            sizes: Mutex::default(),
        })
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }
}

impl Backend for Faulty {
    fn read(&self, keys: &[Key]) -> BoxFuture<'_, Result<Snapshot, backend::Error>> {
        if self.is(Fault::Silence) {
            return Box::pin(std::future::ready(Err(unavailable())));
        }
        self.inner.read(keys)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'_, Result<Page, backend::Error>> {
        self.inner.list(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, backend::Error>> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let _open = self.gate.lock().await;
            let records = transaction.puts.iter();
            let records = records.filter(|(key, _)| key.as_str().starts_with("audit/record/"));
            self.sizes.lock().unwrap().push(records.count());
            let lost = || backend::Error::OutcomeUnknown {
                source: "the line went dead".into(),
            };
            if self.is(Fault::Unavailable) {
                return Err(unavailable());
            }
            if self.is(Fault::RequestLost) {
                return Err(lost());
            }
            let commit = self.inner.commit(transaction).await;
            if self.is(Fault::AnswerLost) || self.is(Fault::Silence) {
                return Err(lost());
            }
            commit
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

fn unavailable() -> backend::Error {
    backend::Error::Unavailable {
        source: "the disk is full".into(),
    }
}
