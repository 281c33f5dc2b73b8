//! How changes become durable: together, in order, and with a clear word when the database is not
//! clear.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use minion::verify::PublicKey;
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::audit::{Action, Record, chain};
use crate::authorize::Verb;
use crate::store::backend::{Backend, Key, Transaction};
use crate::store::testing::{Database, Fault, Faulty, File, Site, key, master, present};
use crate::store::{Actor, DecideError, Error, Memory, Presented, Store};

async fn records(backend: &dyn Backend) -> Vec<Vec<u8>> {
    let limit = NonZeroUsize::new(10_000).unwrap();
    let page = backend.list("audit/record/", None, limit).await.unwrap();
    page.rows
        .into_iter()
        .map(|(_, entry)| entry.value)
        .collect()
}

/// Asks and goes on; the answer is awaited later.
fn ask(
    store: &Store,
    id: String,
    key: PublicKey,
) -> tokio::task::JoinHandle<Result<Presented, Error>> {
    let store = store.clone();
    tokio::spawn(async move { store.present(&master(&id), &key, &Actor::service()).await })
}

fn waiting_in(store: &Store) -> usize {
    let queue = &store.inner.queue;
    queue.max_capacity().saturating_sub(queue.capacity())
}

async fn until<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    while !condition().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    let gate = faulty.gate.lock().await;
    let mut waiting = vec![ask(&store, "m0".to_owned(), key(0))];
    until(async || faulty.begun() == 2).await;
    for number in 1..=40 {
        waiting.push(ask(&store, format!("m{number}"), key(number)));
    }
    until(async || waiting_in(&store) == 40).await;
    drop(gate);
    for answer in waiting {
        assert_eq!(
            answer.await.unwrap().unwrap(),
            Presented::Pending { new: true }
        );
    }
    assert_eq!(*faulty.sizes.lock().unwrap(), [1, 1, 40]);
    let records = records(&memory.reopen()).await;
    let head = chain::verify(records.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(head.seq, 42);
}

#[tokio::test]
async fn first_readings_that_wait_together_are_recorded_once_for_each_reader_and_key() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    site.signed(&store).await;
    let signature = store.state().signatures.values().next().cloned().unwrap();
    let before = faulty.begun();
    let gate = faulty.gate.lock().await;
    let mut waiting = vec![ask(&store, "m8".to_owned(), key(8))];
    until(async || faulty.begun() == before + 1).await;
    let readings = ["ada", "ada", "olga", "ada"].map(|name| {
        let (store, signature) = (store.clone(), Arc::clone(&signature));
        let actor = Actor {
            identity: format!("mastersign:admin:{name}"),
            ..Actor::service()
        };
        tokio::spawn(async move { store.serve(&actor, &signature).await })
    });
    waiting.push(ask(&store, "m9".to_owned(), key(9)));
    until(async || waiting_in(&store) == 5).await;
    drop(gate);
    for reading in readings {
        reading.await.unwrap().unwrap();
    }
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    let records = records(&memory.reopen()).await;
    chain::verify(records.iter().map(Vec::as_slice)).unwrap();
    let served = records.iter().filter_map(|bytes| {
        let record = Record::from_bytes(bytes).unwrap();
        (record.action == Action::SignatureServed).then_some(record.actor.identity)
    });
    assert_eq!(
        served.collect::<Vec<_>>(),
        ["mastersign:admin:ada", "mastersign:admin:olga"]
    );
}

#[tokio::test]
async fn what_is_announced_and_never_comes_keeps_nobody_waiting() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    let _never = [store.announce(), store.announce()];
    for number in 1..=3 {
        present(&store, &format!("m{number}"), &key(number)).await;
    }
    assert_eq!(*faulty.sizes.lock().unwrap(), [1, 1, 1, 1]);
}

/// The lines of the log that say where the audit chain ends.
fn heads(log: &Log) -> Vec<Value> {
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["target"] == "audit")
        .collect()
}

#[tokio::test]
async fn the_log_has_each_committed_head_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::INFO)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let subscriber = Dispatch::new(subscriber);
    // While there is only one, tracing asks the thread that comes to a line first whether anybody
    // listens, and that may be another test's.
    let _second = Dispatch::new(NoSubscriber::default());
    // The committer runs on this thread as well.
    let _guard = tracing::dispatcher::set_default(&subscriber);
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    let gate = faulty.gate.lock().await;
    let mut waiting = vec![ask(&store, "m0".to_owned(), key(0))];
    until(async || faulty.begun() == 2).await;
    for number in 1..=3 {
        waiting.push(ask(&store, format!("m{number}"), key(number)));
    }
    until(async || waiting_in(&store) == 3).await;
    drop(gate);
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    // Nothing was changed, so there is no new head.
    present(&store, "m0", &key(0)).await;
    faulty.set(Fault::RequestLost);
    store
        .present(&master("m9"), &key(9), &Actor::service())
        .await
        .unwrap_err();
    faulty.set(Fault::AnswerLost);
    present(&store, "m4", &key(4)).await;
    let found = heads(&log);
    let seqs: Vec<_> = found.iter().map(|line| line["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(5), Some(6)], "{found:?}");
    store.close().await;
    site.open(memory.open()).await;
    let found = heads(&log);
    let records = records(&memory.reopen()).await;
    let head = chain::verify(records.iter().map(Vec::as_slice)).unwrap();
    for line in found.iter().skip(3) {
        assert_eq!(line["seq"], head.seq);
        assert_eq!(line["hash"], head.hash.to_string());
        assert_eq!(line["level"], "INFO");
    }
    assert_eq!(found.len(), 5);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn sixty_four_masters_at_once(database: &impl Database) {
    let site = Site::new();
    let store = site.open(database.open()).await;
    let waiting: Vec<_> = (0..64)
        .map(|number| ask(&store, format!("m{number}"), key(number)))
        .collect();
    for answer in waiting {
        assert_eq!(
            answer.await.unwrap().unwrap(),
            Presented::Pending { new: true }
        );
    }
    store.close().await;
    let backend = database.open();
    let records = records(&*backend).await;
    assert_eq!(
        chain::verify(records.iter().map(Vec::as_slice))
            .unwrap()
            .seq,
        65
    );
    let store = site.open(backend).await;
    assert_eq!(store.state().masters.len(), 64);
    assert_eq!(store.state().quarantined, []);
}

#[tokio::test]
async fn sixty_four_masters_at_once_in_memory() {
    sixty_four_masters_at_once(&Memory::default()).await;
}

#[tokio::test]
async fn sixty_four_masters_at_once_in_sqlite() {
    sixty_four_masters_at_once(&File::new()).await;
}

#[tokio::test]
async fn of_many_keys_at_once_one_waits_and_the_others_are_denied() {
    let site = Site::new();
    let store = site.open(Memory::default().open()).await;
    let asked: Vec<_> = (0..64)
        .map(|number| ask(&store, "m1".to_owned(), key(number)))
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap().unwrap());
    }
    let count = |wanted: Presented| answers.iter().filter(|answer| **answer == wanted).count();
    assert_eq!(count(Presented::Pending { new: true }), 1);
    assert_eq!(count(Presented::Denied { recorded: true }), 8);
    assert_eq!(count(Presented::Denied { recorded: false }), 55);
}

#[tokio::test]
async fn of_two_decisions_at_once_one_counts_and_the_other_is_told() {
    let site = Site::new();
    let store = site.open(Memory::default().open()).await;
    present(&store, "m1", &key(1)).await;
    let hash = Some(key(1).hash());
    let accept = site.statement(&store, Verb::Accept, "m1", hash, 1);
    let reject = site.statement(&store, Verb::Reject, "m1", hash, 1);
    let (accepted, rejected) = tokio::join!(store.decide(accept), store.decide(reject));
    let lost = match (accepted, rejected) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
        other => panic!("{other:?}"),
    };
    assert!(
        matches!(lost, DecideError::Conflict { current: 1 }),
        "{lost}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    faulty.set(Fault::AnswerLost);
    let presented = present(&store, "m1", &key(1)).await;
    assert_eq!(presented, Presented::Pending { new: true });
    faulty.set(Fault::RequestLost);
    let refused = store
        .present(&master("m2"), &key(2), &Actor::service())
        .await;
    assert!(matches!(refused, Err(Error::NotCommitted)), "{refused:?}");
    assert!(store.state().master(&master("m2")).is_none());
    faulty.set(Fault::None);
    let presented = present(&store, "m2", &key(2)).await;
    assert_eq!(presented, Presented::Pending { new: true });
}

#[tokio::test]
async fn an_answer_that_cannot_be_looked_up_is_an_error_and_a_repeat_converges() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    faulty.set(Fault::Silence);
    let refused = store
        .present(&master("m1"), &key(1), &Actor::service())
        .await;
    assert!(refused.unwrap_err().is_retryable());
    // Nothing is decided on a state that may be outdated.
    let refused = store
        .present(&master("m2"), &key(2), &Actor::service())
        .await;
    assert!(refused.unwrap_err().is_retryable());
    faulty.set(Fault::None);
    assert_eq!(
        present(&store, "m1", &key(1)).await,
        Presented::Pending { new: false }
    );
    store.close().await;
    let store = site.open(memory.open()).await;
    assert_eq!(store.state().quarantined, []);
    assert_eq!(store.state().masters.len(), 1);
}

#[tokio::test]
async fn an_unavailable_database_changes_nothing() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    faulty.set(Fault::Unavailable);
    let refused = store
        .present(&master("m1"), &key(1), &Actor::service())
        .await;
    assert!(refused.unwrap_err().is_retryable());
    assert!(store.state().masters.is_empty());
}

#[tokio::test]
async fn a_failed_guard_drops_only_its_own_operation() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    let gate = faulty.gate.lock().await;
    let first = ask(&store, "m0".to_owned(), key(0));
    until(async || faulty.begun() == 2).await;
    let waiting: Vec<_> = (1..=3)
        .map(|number| ask(&store, format!("m{number}"), key(number)))
        .collect();
    until(async || waiting_in(&store) == 3).await;
    let row = Key::new(format!("key/{}", key(2).hash())).unwrap();
    let intruder = Transaction {
        puts: vec![(row, b"{}".to_vec())],
        ..Transaction::default()
    };
    memory.reopen().commit(intruder).await.unwrap();
    drop(gate);
    first.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for answer in waiting {
        answers.push(answer.await.unwrap());
    }
    assert!(matches!(answers[0], Ok(Presented::Pending { new: true })));
    assert!(matches!(answers[1], Err(Error::Conflict)));
    assert!(matches!(answers[2], Ok(Presented::Pending { new: true })));
    let records = records(&memory.reopen()).await;
    assert_eq!(
        chain::verify(records.iter().map(Vec::as_slice))
            .unwrap()
            .seq,
        4
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_up_the_wait_and_not_the_work() {
    let (site, memory) = (Site::new(), Memory::default());
    let faulty = Faulty::new(&memory);
    let store = site.open(Arc::<Faulty>::clone(&faulty)).await;
    let gate = faulty.gate.lock().await;
    let asked = ask(&store, "m1".to_owned(), key(1));
    until(async || faulty.begun() == 2).await;
    asked.abort();
    drop(gate);
    let presented = present(&store, "m1", &key(1)).await;
    assert_eq!(presented, Presented::Pending { new: false });
}

#[tokio::test]
async fn closing_finishes_what_waits_and_takes_nothing_more() {
    let (site, file) = (Site::new(), File::new());
    let store = site.open(file.open()).await;
    let waiting: Vec<_> = (0..8)
        .map(|number| ask(&store, format!("m{number}"), key(number)))
        .collect();
    until(async || waiting_in(&store) > 0 || !store.state().masters.is_empty()).await;
    store.close().await;
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert!(matches!(answer, Ok(_) | Err(Error::Closed)), "{answer:?}");
    }
    let refused = store
        .present(&master("m9"), &key(9), &Actor::service())
        .await;
    assert!(matches!(refused, Err(Error::Closed)));
    // The file is free again.
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined, []);
}

#[tokio::test]
async fn each_change_has_exactly_one_record_and_an_answer_without_change_has_none() {
    let (site, memory) = (Site::new(), Memory::default());
    let store = site.open(memory.open()).await;
    site.signed(&store).await;
    present(&store, "m1", &key(1)).await;
    present(&store, "m2", &key(1)).await;
    store.add_signing_key(&site.signer.public).await.unwrap();
    let records = records(&memory.reopen()).await;
    let actions = records
        .iter()
        .map(|bytes| Record::from_bytes(bytes).unwrap().action.name());
    assert_eq!(
        actions.collect::<Vec<_>>(),
        [
            "store-created",
            "signing-key-added",
            "key-presented",
            "key-accepted",
            "signature-published"
        ]
    );
}
