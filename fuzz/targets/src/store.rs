//! The database of the service, as whoever can write to its file may leave it.

#![expect(
    clippy::disallowed_types,
    reason = "the seed is a constant, and a target has no argument but its input"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use minion::verify::{Algorithm, Signature};
use openssl::rsa::Padding;
use signer::audit::chain::Head;
use signer::audit::{Actor, Digest, Event, Record};
use signer::authorize::{MasterId, OperatorsCa, SignedStatement};
use signer::store::backend::{Commit, Key, Transaction};
use signer::store::{Backend, Memory, Publication, Status, Store};
use tokio::runtime::{Builder, Runtime};

use crate::papers::{MASTER, Noon, STORE, master_key, paper, signing_key};

/// A store opens or says why not; what was altered is quarantined or keeps it closed; and even for
/// one who writes the whole audit chain anew nothing is accepted but what an admin signed, and
/// nothing is served that does not verify.
///
/// The input is a byte, which says whether the chain is written anew, and a row a line: its name, a
/// space, its value.
pub fn store_rows(input: &[u8]) {
    let Some((&forge, text)) = input.split_first() else {
        return;
    };
    let mut rows = rows(text);
    if forge & 1 == 1 {
        rewrite_chain(&mut rows);
    }
    let runtime = runtime();
    let backend = runtime.block_on(filled(&rows));
    let operators = operators();
    let opened = runtime.block_on(Store::open(
        Arc::new(backend),
        operators,
        Arc::new(Noon),
        None,
    ));
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            assert!(!rows.is_empty(), "an empty database is a new store");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    if !rows.is_empty() {
        judge(&store, &rows, forge & 1 == 1);
    }
    runtime.block_on(store.close());
}

fn judge(store: &Store, rows: &BTreeMap<String, Vec<u8>>, forged: bool) {
    let state = store.state();
    let known = &*KNOWN;
    for (id, master) in &state.masters {
        for (hash, record) in &master.keys {
            if record.status == Status::Accepted {
                assert_eq!(
                    (id.as_str(), *hash),
                    (MASTER, known.accepted),
                    "nobody accepted it"
                );
                assert!(record.key.is_some() && record.decision.is_some());
            }
        }
    }
    for signature in state.signatures() {
        let signer = state
            .signing_keys
            .get(&signature.signing_key)
            .expect("its key is sound");
        let (_, record) = state.key(&signature.key).expect("the key that it is over");
        let key = record.key.as_ref().expect("with its text");
        let verdict = signer
            .key
            .verify(signature.algorithm, key, &signature.signature);
        assert_eq!(verdict, Ok(()), "it is served and does not verify");
    }
    // An independent look: what each row was when a record wrote it last.
    let mut written = BTreeMap::new();
    for (name, value) in rows {
        if name.starts_with(RECORDS) {
            let record = Record::from_bytes(value).expect("the chain holds");
            written.extend(record.writes);
        }
    }
    let quarantined: BTreeSet<&str> = state
        .quarantined
        .iter()
        .map(|bad| bad.row.as_str())
        .collect();
    for name in rows.keys().chain(written.keys()) {
        let is_audit = name.starts_with(RECORDS) || name == HEAD;
        let now = rows.get(name).map(|value| Digest::of(value));
        let then = written.get(name).copied().flatten();
        // A table that no layout has is not looked at.
        if !is_audit && is_listed(name) && now != then {
            assert!(quarantined.contains(name.as_str()), "{name} was altered");
        }
    }
    if !forged && *rows == known.rows {
        assert_eq!(quarantined.len(), 0);
        assert_eq!(state.signatures().count(), 1);
    }
}

/// The rows of a store in which a key was accepted and signed, as they are and with a chain that is
/// written anew; one where the key was revoked besides; and each row alone.
#[must_use]
pub fn store_rows_seeds() -> Vec<Vec<u8>> {
    let known = &*KNOWN;
    let mut seeds = Vec::new();
    for rows in [&known.rows, &known.revoked] {
        for forge in [0, 1] {
            seeds.push(written(forge, rows));
        }
    }
    for (name, value) in &known.revoked {
        let one = BTreeMap::from([(name.clone(), value.clone())]);
        seeds.push(written(1, &one));
    }
    seeds
}

fn written(forge: u8, rows: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut text = vec![forge];
    for (name, value) in rows {
        text.extend_from_slice(name.as_bytes());
        text.push(b' ');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}

fn rows(text: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').take(MOST);
    let rows = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        let (name, value) = line.split_at_checked(at)?;
        let name = std::str::from_utf8(name).ok()?;
        Key::new(name).ok()?;
        Some((name.to_owned(), value.get(1..)?.to_vec()))
    });
    rows.collect()
}

/// What an attacker does who can write the file and knows the format: one chain over what he put
/// there, each record vouching for the rows as they are.
fn rewrite_chain(rows: &mut BTreeMap<String, Vec<u8>>) {
    let names: Vec<String> = rows
        .keys()
        .filter(|name| name.starts_with(RECORDS))
        .cloned()
        .collect();
    let records = names
        .iter()
        .filter_map(|name| Record::from_bytes(&rows.remove(name)?).ok());
    let mut events: Vec<Event> = records.map(event).collect();
    if events.is_empty() {
        // None was readable: the honest ones will do.
        let honest = KNOWN
            .revoked
            .iter()
            .filter(|(name, _)| name.starts_with(RECORDS));
        events = honest
            .filter_map(|(_, value)| Record::from_bytes(value).ok().map(event))
            .collect();
    }
    let mut head = Head {
        seq: 0,
        hash: Digest::ZERO,
    };
    let last = events.len().saturating_sub(1);
    for (index, mut event) in events.into_iter().enumerate() {
        for (name, digest) in &mut event.writes {
            *digest = rows.get(name).map(|value| Digest::of(value));
        }
        if index == last {
            let orphans = rows.iter().filter(|(name, _)| *name != HEAD);
            event
                .writes
                .extend(orphans.map(|(name, value)| (name.clone(), Some(Digest::of(value)))));
        }
        let seq = head.seq.saturating_add(1);
        let Ok(bytes) = event.chain(seq, head.hash).to_bytes() else {
            return;
        };
        head = Head {
            seq,
            hash: Record::hash(&bytes),
        };
        rows.insert(format!("{RECORDS}{seq:020}"), bytes);
    }
    let Head { seq, hash } = head;
    rows.insert(
        HEAD.to_owned(),
        format!(r#"{{"v":1,"seq":{seq},"hash":"{hash}"}}"#).into_bytes(),
    );
}

fn event(record: Record) -> Event {
    let Record {
        time,
        actor,
        action,
        subject,
        detail,
        writes,
        ..
    } = record;
    Event {
        time,
        actor,
        action,
        subject,
        detail,
        writes,
    }
}

async fn filled(rows: &BTreeMap<String, Vec<u8>>) -> Memory {
    let backend = Memory::default();
    if !rows.is_empty() {
        let puts = rows.iter().map(|(name, value)| {
            let key = Key::new(name.clone()).expect("it was one");
            (key, value.clone())
        });
        let transaction = Transaction {
            guards: Vec::new(),
            puts: puts.collect(),
            deletes: Vec::new(),
        };
        let done = backend.commit(transaction).await.expect("memory takes it");
        assert!(matches!(done, Commit::Committed { .. }));
    }
    backend
}

/// What the seeds are made of.
struct Known {
    accepted: minion::verify::KeyHash,
    rows: BTreeMap<String, Vec<u8>>,
    revoked: BTreeMap<String, Vec<u8>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| runtime().block_on(known()));

async fn known() -> Known {
    let memory = Memory::default();
    let operators = operators();
    let id = STORE.parse().expect("a UUID");
    let backend = Arc::new(memory.reopen());
    let store = Store::open(backend, Arc::clone(&operators), Arc::new(Noon), Some(id));
    let store = store.await.expect("a new store");
    let (signing, key) = (signing_key(), &master_key().public);
    let master: MasterId = MASTER.parse().expect("an id");
    store
        .add_signing_key(&signing.public)
        .await
        .expect("the first");
    store
        .present(&master, key, &Actor::service())
        .await
        .expect("it is new");
    store
        .latch("0042", [7; 32], "CKR_PIN_INCORRECT")
        .await
        .expect("it is new");
    let decide = async |name: &str| {
        let signed: SignedStatement = serde_json::from_slice(&paper(name)).expect("a statement");
        let checked = operators.check(&signed).expect("an admin's");
        store.decide(checked).await.expect("it fits");
    };
    decide("accept.json").await;
    let mut bytes = vec![0; 256];
    let info = Algorithm::Sha1.digest_info(key.canonical().as_bytes());
    let rsa = signing.private.rsa().expect("an RSA key");
    rsa.private_encrypt(&info, &mut bytes, Padding::PKCS1)
        .expect("2048 bits");
    let publication = Publication {
        signing_key: signing.public.hash(),
        algorithm: Algorithm::Sha1,
        key: Arc::new(key.clone()),
        master,
        generation: 1,
        signature: Signature::new(bytes),
    };
    store.publish(publication).await.expect("it is accepted");
    let rows = listed(&memory).await;
    decide("revoke.json").await;
    let revoked = listed(&memory).await;
    store.close().await;
    Known {
        accepted: key.hash(),
        rows,
        revoked,
    }
}

/// The rows of a store in which the master's key is accepted and signed.
pub(crate) fn signed_rows() -> &'static BTreeMap<String, Vec<u8>> {
    &KNOWN.rows
}

/// The store with these rows, which nobody altered.
pub(crate) async fn open(rows: &BTreeMap<String, Vec<u8>>) -> Store {
    let backend = Arc::new(filled(rows).await);
    let store = Store::open(backend, operators(), Arc::new(Noon), None).await;
    store.expect("nothing was changed")
}

async fn listed(memory: &Memory) -> BTreeMap<String, Vec<u8>> {
    let most = NonZeroUsize::new(MOST).expect("not zero");
    let page = memory
        .reopen()
        .list("", None, most)
        .await
        .expect("memory answers");
    let rows = page.rows.into_iter();
    rows.map(|(key, entry)| (key.to_string(), entry.value))
        .collect()
}

/// It remembers what it found good, as the service's does.
pub(crate) fn operators() -> Arc<OperatorsCa> {
    static OPERATORS: LazyLock<Arc<OperatorsCa>> = LazyLock::new(|| {
        let authority = OperatorsCa::from_pem(&paper("operators-ca.pem"));
        Arc::new(authority.expect("an authority"))
    });
    Arc::clone(&OPERATORS)
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn is_listed(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const RECORDS: &str = "audit/record/";
const HEAD: &str = "audit/head";
/// The tables of the layout (ARCHITECTURE.md, "State").
const PREFIXES: [&str; 7] = [
    "key/",
    "master/",
    "meta/",
    "pin-latch/",
    "signature/",
    "signing-key",
    "statement/",
];
/// Rows of one input.
const MOST: usize = 64;
