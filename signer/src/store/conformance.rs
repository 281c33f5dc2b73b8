//! What every backend must do, run against each of them.
//!
//! A backend passes when a guard means the same in it as in the others; the store relies on nothing
//! else.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Memory;
use super::backend::{Backend, Commit, Error, Guard, Key, Transaction};
use super::testing::{Database, File};

macro_rules! conformance {
    ($($test:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Memory::default()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::File::new()).await;
            })*
        }
    };
}

conformance! {
    a_closed_backend_says_so,
    a_deleted_row_is_absent_again,
    a_failed_guard_changes_nothing,
    a_list_ends_with_its_prefix,
    a_list_is_read_in_pages,
    a_read_is_of_one_point_in_time,
    a_row_may_be_changed_once_per_transaction,
    a_transaction_may_not_be_too_large,
    a_value_is_kept_byte_for_byte,
    absent_holds_for_a_missing_row_only,
    each_of_many_writers_gets_its_turn,
    one_of_many_writers_wins_a_row,
    revision_equals_holds_for_the_last_writer_only,
    revisions_grow_by_one_and_name_the_writer,
    what_was_committed_is_there_after_reopening,
}

async fn revisions_grow_by_one_and_name_the_writer(database: &impl Database) {
    let backend = database.open();
    assert_eq!(backend.read(&[]).await.unwrap().revision, 0);
    assert_eq!(commit(&backend, put("a", b"1")).await, Some(1));
    assert_eq!(commit(&backend, put("b", b"2")).await, Some(2));
    assert_eq!(revision(&backend, "a").await, Some(1));
    assert_eq!(revision(&backend, "b").await, Some(2));
    // Writing the same value is writing.
    assert_eq!(commit(&backend, put("a", b"1")).await, Some(3));
    assert_eq!(revision(&backend, "a").await, Some(3));
}

async fn absent_holds_for_a_missing_row_only(database: &impl Database) {
    let backend = database.open();
    let create = || guarded(Guard::Absent(name("a")), put("a", b"1"));
    assert_eq!(commit(&backend, create()).await, Some(1));
    assert_eq!(commit(&backend, create()).await, None);
}

async fn revision_equals_holds_for_the_last_writer_only(database: &impl Database) {
    let backend = database.open();
    let change = |revision| guarded(Guard::RevisionEquals(name("a"), revision), put("a", b"2"));
    assert_eq!(commit(&backend, change(0)).await, None);
    assert_eq!(commit(&backend, put("a", b"1")).await, Some(1));
    assert_eq!(commit(&backend, put("b", b"1")).await, Some(2));
    assert_eq!(commit(&backend, change(2)).await, None);
    assert_eq!(commit(&backend, change(1)).await, Some(3));
    assert_eq!(commit(&backend, change(1)).await, None);
}

async fn a_failed_guard_changes_nothing(database: &impl Database) {
    let backend = database.open();
    commit(&backend, put("a", b"1")).await.unwrap();
    let mut transaction = put("b", b"2");
    transaction.puts.push((name("c"), b"3".to_vec()));
    transaction.deletes.push(name("a"));
    transaction.guards = vec![
        Guard::RevisionEquals(name("a"), 1),
        Guard::Absent(name("a")),
    ];
    assert_eq!(commit(&backend, transaction).await, None);
    let snapshot = backend
        .read(&[name("a"), name("b"), name("c")])
        .await
        .unwrap();
    assert_eq!(snapshot.revision, 1);
    assert!(snapshot.entries[0].is_some());
    assert_eq!(&snapshot.entries[1..], [None, None]);
}

async fn a_deleted_row_is_absent_again(database: &impl Database) {
    let backend = database.open();
    commit(&backend, put("a", b"1")).await.unwrap();
    let delete = || Transaction {
        deletes: vec![name("a")],
        ..Transaction::default()
    };
    assert_eq!(commit(&backend, delete()).await, Some(2));
    assert_eq!(commit(&backend, delete()).await, Some(3));
    let create = guarded(Guard::Absent(name("a")), put("a", b"2"));
    assert_eq!(commit(&backend, create).await, Some(4));
}

async fn a_row_may_be_changed_once_per_transaction(database: &impl Database) {
    let backend = database.open();
    let mut twice = put("a", b"1");
    twice.puts.push((name("a"), b"2".to_vec()));
    let mut both = put("a", b"1");
    both.deletes.push(name("a"));
    for transaction in [twice, both] {
        let refused = backend.commit(transaction).await;
        assert!(matches!(refused, Err(Error::Twice { .. })), "{refused:?}");
    }
    assert_eq!(revision(&backend, "a").await, None);
}

async fn a_transaction_may_not_be_too_large(database: &impl Database) {
    let backend = database.open();
    let fits = put("a", &vec![0; (1 << 20) - 1]);
    assert_eq!(commit(&backend, fits).await, Some(1));
    let refused = backend.commit(put("a", &vec![0; 1 << 20])).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
}

async fn a_value_is_kept_byte_for_byte(database: &impl Database) {
    let backend = database.open();
    let all: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], &all] {
        commit(&backend, put("a", value)).await.unwrap();
        let snapshot = backend.read(&[name("a")]).await.unwrap();
        assert_eq!(snapshot.entries[0].as_ref().unwrap().value, value);
    }
}

async fn a_read_is_of_one_point_in_time(database: &impl Database) {
    let backend = database.open();
    let write = |value: u8| {
        let mut transaction = put("a", &[value]);
        transaction.puts.push((name("b"), vec![value]));
        transaction
    };
    commit(&backend, write(0)).await.unwrap();
    let writer = {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            for value in 1..=50 {
                commit(&backend, write(value)).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    while !writer.is_finished() {
        let snapshot = backend.read(&[name("a"), name("b")]).await.unwrap();
        assert_eq!(snapshot.entries[0], snapshot.entries[1]);
        assert_eq!(
            snapshot.entries[0].as_ref().unwrap().revision,
            snapshot.revision
        );
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

async fn a_list_is_read_in_pages(database: &impl Database) {
    let backend = database.open();
    let names: Vec<String> = (0..7).map(|number| format!("p/{number}")).collect();
    for key in names.iter().rev() {
        commit(&backend, put(key, key.as_bytes())).await.unwrap();
    }
    for limit in 1..=8 {
        let limit = NonZeroUsize::new(limit).unwrap();
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = backend.list("p/", after.as_ref(), limit).await.unwrap();
            assert_eq!(page.revision, 7);
            assert!(page.rows.len() <= limit.get());
            found.extend(page.rows.iter().map(|(key, _)| key.to_string()));
            after = page.rows.last().map(|(key, _)| key.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(found, names);
    }
}

async fn a_list_ends_with_its_prefix(database: &impl Database) {
    let backend = database.open();
    for key in ["a", "p", "p.", "p/", "p/~~", "p/a", "p/a/b", "p0", "q"] {
        commit(&backend, put(key, b"")).await.unwrap();
    }
    let ten = NonZeroUsize::new(10).unwrap();
    let listed = async |prefix: &str| {
        let page = backend.list(prefix, None, ten).await.unwrap();
        assert!(!page.more);
        let names = page.rows.into_iter().map(|(key, _)| key.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed("p/").await, ["p/", "p/a", "p/a/b", "p/~~"]);
    assert_eq!(listed("r").await, [""; 0]);
    assert_eq!(listed("").await.len(), 9);
}

async fn one_of_many_writers_wins_a_row(database: &impl Database) {
    let backend = database.open();
    let writers: Vec<_> = (0..64_u8)
        .map(|value| {
            let backend = Arc::clone(&backend);
            let create = guarded(Guard::Absent(name("a")), put("a", &[value]));
            tokio::spawn(async move { commit(&backend, create).await })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        winners.extend(writer.await.unwrap());
    }
    assert_eq!(winners, [1]);
}

async fn each_of_many_writers_gets_its_turn(database: &impl Database) {
    let backend = database.open();
    commit(&backend, put("a", b"0")).await.unwrap();
    let writers: Vec<_> = (0..64)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                loop {
                    let snapshot = backend.read(&[name("a")]).await.unwrap();
                    let entry = snapshot.entries[0].clone().unwrap();
                    let count: u32 = String::from_utf8(entry.value).unwrap().parse().unwrap();
                    let next = count.saturating_add(1).to_string();
                    let guard = Guard::RevisionEquals(name("a"), entry.revision);
                    let change = guarded(guard, put("a", next.as_bytes()));
                    if commit(&backend, change).await.is_some() {
                        break;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let snapshot = backend.read(&[name("a")]).await.unwrap();
    assert_eq!(snapshot.entries[0].as_ref().unwrap().value, b"64");
    assert_eq!(snapshot.revision, 65);
}

async fn what_was_committed_is_there_after_reopening(database: &impl Database) {
    let backend = database.open();
    commit(&backend, put("a", b"1")).await.unwrap();
    commit(&backend, put("b", b"2")).await.unwrap();
    backend.close().await;
    let backend = database.open();
    let snapshot = backend.read(&[name("a"), name("b")]).await.unwrap();
    assert_eq!(snapshot.revision, 2);
    assert_eq!(snapshot.entries[0].as_ref().unwrap().revision, 1);
    assert_eq!(snapshot.entries[1].as_ref().unwrap().value, b"2");
    assert_eq!(commit(&backend, put("c", b"3")).await, Some(3));
}

async fn a_closed_backend_says_so(database: &impl Database) {
    let backend = database.open();
    backend.close().await;
    backend.close().await;
    let refused = backend.commit(put("a", b"1")).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    let refused = backend.read(&[name("a")]).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    let refused = backend.list("", None, NonZeroUsize::MIN).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

fn name(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(key: &str, value: &[u8]) -> Transaction {
    Transaction {
        puts: vec![(name(key), value.to_vec())],
        ..Transaction::default()
    }
}

fn guarded(guard: Guard, transaction: Transaction) -> Transaction {
    Transaction {
        guards: vec![guard],
        ..transaction
    }
}

async fn commit(backend: &Arc<dyn Backend>, transaction: Transaction) -> Option<u64> {
    match backend.commit(transaction).await.unwrap() {
        Commit::Committed { revision } => Some(revision),
        Commit::Conflict => None,
    }
}

async fn revision(backend: &Arc<dyn Backend>, key: &str) -> Option<u64> {
    let snapshot = backend.read(&[name(key)]).await.unwrap();
    let entry = snapshot.entries.into_iter().next().unwrap();
    entry.map(|entry| entry.revision)
}
