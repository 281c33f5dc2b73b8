//! Decisions that take something back: forgetting a key, moving it, lifting a bar. What each may
//! not bring back is tested beside what it does, and all of it again after a restart.

use minion::verify::Algorithm;

use crate::authorize::Verb;
use crate::store::testing::{Database, File, Site, key, master, present};
use crate::store::{DecideError, Memory, Presented, Status, Store};

async fn site() -> (Site, Memory, Store) {
    let (site, memory) = (Site::new(), Memory::default());
    let store = site.open(memory.open()).await;
    (site, memory, store)
}

async fn restart(site: &Site, memory: &Memory, store: &Store) -> Store {
    store.close().await;
    let store = site.open(memory.open()).await;
    assert_eq!(store.state().quarantined, []);
    store
}

fn status(store: &Store, number: u32) -> Option<Status> {
    let hash = key(number).hash();
    store.state().key(&hash).map(|(_, record)| record.status)
}

async fn decide(
    site: &Site,
    store: &Store,
    verb: Verb,
    id: &str,
    number: Option<u32>,
    generation: u64,
) -> Result<(), DecideError> {
    let hash = number.map(|number| key(number).hash());
    let statement = site.statement(store, verb, id, hash, generation);
    store.decide(statement).await.map(drop)
}

#[tokio::test]
async fn a_forgotten_key_is_as_if_it_had_never_been_shown() {
    let (site, memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let forget = site.statement(&store, Verb::Forget, "m1", Some(key(1).hash()), 1);
    let first = store.decide(forget.clone()).await.unwrap();
    assert!(first.keys.is_empty());
    let again = store.decide(forget.clone()).await.unwrap();
    assert_eq!(first, again, "a client that saw no answer asks again");
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 1), None);
    // Neither its place nor its name is taken.
    let other = present(&store, "m1", &key(2)).await;
    assert_eq!(other, Presented::Pending { new: true });
    let moved = present(&store, "m2", &key(1)).await;
    assert_eq!(moved, Presented::Pending { new: true });
    // The decisions are numbered on, so that one from before does not count again.
    decide(&site, &store, Verb::Accept, "m1", Some(2), 2)
        .await
        .unwrap();
    let old = store.decide(forget).await.unwrap_err();
    assert!(matches!(old, DecideError::Conflict { current: 2 }), "{old}");
    restart(&site, &memory, &store).await;
}

#[tokio::test]
async fn a_rejected_key_that_is_forgotten_waits_when_it_is_shown_again() {
    let (site, memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    decide(&site, &store, Verb::Reject, "m1", Some(1), 1)
        .await
        .unwrap();
    decide(&site, &store, Verb::Forget, "m1", Some(1), 2)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    let again = present(&store, "m1", &key(1)).await;
    assert_eq!(again, Presented::Pending { new: true });
    decide(&site, &store, Verb::Accept, "m1", Some(1), 3)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 1), Some(Status::Accepted));
}

#[tokio::test]
async fn nothing_that_was_decided_for_good_is_forgotten() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    present(&store, "m1", &key(2)).await;
    let refused = decide(&site, &store, Verb::Forget, "m1", Some(1), 2).await;
    assert!(
        matches!(refused, Err(DecideError::IsAccepted)),
        "{refused:?}"
    );
    let refused = decide(&site, &store, Verb::Forget, "m1", Some(2), 2).await;
    assert!(matches!(refused, Err(DecideError::IsDenied)), "{refused:?}");
    let refused = decide(&site, &store, Verb::Forget, "m1", Some(3), 2).await;
    assert!(
        matches!(refused, Err(DecideError::UnknownKey { .. })),
        "{refused:?}"
    );
    let refused = decide(&site, &store, Verb::Forget, "m2", Some(1), 1).await;
    assert!(
        matches!(refused, Err(DecideError::HeldBy { .. })),
        "{refused:?}"
    );
    decide(&site, &store, Verb::Revoke, "m1", Some(1), 2)
        .await
        .unwrap();
    let refused = decide(&site, &store, Verb::Forget, "m1", Some(1), 3).await;
    assert!(
        matches!(refused, Err(DecideError::IsRevoked)),
        "{refused:?}"
    );
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 1), Some(Status::Revoked));
}

#[tokio::test]
async fn the_row_of_a_forgotten_key_that_is_put_back_counts_for_nothing() {
    let (site, file) = (Site::new(), File::new());
    let store = site.open(file.open()).await;
    present(&store, "m1", &key(1)).await;
    store.close().await;
    let row = format!("key/{}", key(1).hash());
    let before = file.value(&row).unwrap();
    let store = site.open(file.open()).await;
    decide(&site, &store, Verb::Forget, "m1", Some(1), 1)
        .await
        .unwrap();
    store.close().await;
    assert_eq!(file.value(&row), None);
    file.write(&row, &before);
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined[0].row, row);
    assert_eq!(status(&store, 1), Some(Status::Quarantined));
}

/// A key whose row was altered after it was signed is rejected and then forgotten: its signature goes
/// with it, because nothing would be there for it to be over.
#[tokio::test]
async fn the_signatures_over_a_forgotten_key_go_with_it() {
    let (site, file) = (Site::new(), File::new());
    let store = site.open(file.open()).await;
    site.signed(&store).await;
    store.close().await;
    let row = format!("key/{}", key(1).hash());
    let altered = String::from_utf8(file.value(&row).unwrap()).unwrap();
    file.write(&row, altered.replace("\"v\":1", "\"v\": 1").as_bytes());
    let store = site.open(file.open()).await;
    assert_eq!(status(&store, 1), Some(Status::Quarantined));
    let refused = decide(&site, &store, Verb::Forget, "m1", Some(1), 2).await;
    assert!(
        matches!(refused, Err(DecideError::IsQuarantined)),
        "{refused:?}"
    );
    decide(&site, &store, Verb::Reject, "m1", Some(1), 2)
        .await
        .unwrap();
    decide(&site, &store, Verb::Forget, "m1", Some(1), 3)
        .await
        .unwrap();
    assert_eq!(store.state().signatures().count(), 0);
    store.close().await;
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined, []);
    assert_eq!(store.state().signatures().count(), 0);
}

#[tokio::test]
async fn a_key_that_moves_waits_under_its_new_name_and_takes_its_signature_along() {
    let (site, memory, store) = site().await;
    let moving = site.signed(&store).await;
    let rename = site.statement(&store, Verb::Rename, "m2", Some(moving.hash()), 1);
    let first = store.decide(rename.clone()).await.unwrap();
    let again = store.decide(rename).await.unwrap();
    assert_eq!(first, again);
    let store = restart(&site, &memory, &store).await;
    assert_eq!(
        present(&store, "m2", &moving).await,
        Presented::Pending { new: false }
    );
    assert_eq!(
        present(&store, "m1", &moving).await,
        Presented::HeldBy(master("m2"))
    );
    assert!(store.state().master(&master("m1")).unwrap().keys.is_empty());
    decide(&site, &store, Verb::Accept, "m2", Some(1), 2)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(present(&store, "m2", &moving).await, Presented::Accepted);
    let signer = site.signer.public.hash();
    let state = store.state();
    let stored = state
        .signature(signer, Algorithm::Sha1, moving.hash())
        .unwrap();
    assert_eq!(stored.master, master("m2"));
}

#[tokio::test]
async fn a_key_does_not_move_past_a_revocation_or_beside_another_key() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    present(&store, "m2", &key(2)).await;
    let same = decide(&site, &store, Verb::Rename, "m1", Some(1), 2).await;
    assert!(matches!(same, Err(DecideError::IsTheirs)), "{same:?}");
    let unknown = decide(&site, &store, Verb::Rename, "m2", Some(9), 1).await;
    assert!(
        matches!(unknown, Err(DecideError::UnknownKey { .. })),
        "{unknown:?}"
    );
    decide(&site, &store, Verb::Rename, "m2", Some(1), 1)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(
        status(&store, 1),
        Some(Status::Denied),
        "another key waits there"
    );
    decide(&site, &store, Verb::Revoke, "m2", Some(1), 2)
        .await
        .unwrap();
    let revoked = decide(&site, &store, Verb::Rename, "m1", Some(1), 2).await;
    assert!(
        matches!(revoked, Err(DecideError::IsRevoked)),
        "{revoked:?}"
    );
    decide(&site, &store, Verb::Revoke, "m3", None, 1)
        .await
        .unwrap();
    let barred = decide(&site, &store, Verb::Rename, "m3", Some(2), 2).await;
    assert!(
        matches!(barred, Err(DecideError::Barred { .. })),
        "{barred:?}"
    );
    restart(&site, &memory, &store).await;
}

/// A signature that is being made when its key moves is not stored for the master that had it.
#[tokio::test]
async fn a_move_overtakes_a_signature_that_is_being_made() {
    let (site, _memory, store) = site().await;
    let moving = key(1);
    store.add_signing_key(&site.signer.public).await.unwrap();
    present(&store, "m1", &moving).await;
    decide(&site, &store, Verb::Accept, "m1", Some(1), 1)
        .await
        .unwrap();
    let publication = site.publication("m1", &moving, 1);
    decide(&site, &store, Verb::Rename, "m2", Some(1), 1)
        .await
        .unwrap();
    store.publish(publication).await.unwrap_err();
    assert_eq!(store.state().signatures().count(), 0);
}

#[tokio::test]
async fn a_reinstated_master_comes_back_with_the_named_key_only() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    decide(&site, &store, Verb::Revoke, "m1", None, 2)
        .await
        .unwrap();
    let reinstate = site.statement(&store, Verb::Reinstate, "m1", Some(key(2).hash()), 3);
    let first = store.decide(reinstate.clone()).await.unwrap();
    let again = store.decide(reinstate).await.unwrap();
    assert_eq!(first, again);
    let store = restart(&site, &memory, &store).await;
    let m1 = store.state().master(&master("m1")).cloned().unwrap();
    assert!(!m1.barred);
    // The old key stays revoked, and a third one does not take the place of the named one.
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Revoked);
    let third = present(&store, "m1", &key(3)).await;
    assert_eq!(third, Presented::Denied { recorded: true });
    // Nothing is decided about a key that nobody showed, except that it is not awaited.
    for verb in [Verb::Accept, Verb::Reject] {
        let refused = decide(&site, &store, verb, "m1", Some(2), 4).await;
        assert!(
            matches!(refused, Err(DecideError::UnknownKey { .. })),
            "{refused:?}"
        );
    }
    let shown = present(&store, "m1", &key(2)).await;
    assert_eq!(shown, Presented::Pending { new: true });
    let shown = present(&store, "m1", &key(2)).await;
    assert_eq!(shown, Presented::Pending { new: false });
    let store = restart(&site, &memory, &store).await;
    decide(&site, &store, Verb::Accept, "m1", Some(2), 4)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 2), Some(Status::Accepted));
    assert_eq!(status(&store, 1), Some(Status::Revoked));
}

#[tokio::test]
async fn a_bar_is_lifted_for_a_new_key_only_and_can_be_set_again() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    let early = decide(&site, &store, Verb::Reinstate, "m1", Some(2), 2).await;
    assert!(
        matches!(early, Err(DecideError::NotBarred { .. })),
        "{early:?}"
    );
    decide(&site, &store, Verb::Revoke, "m1", None, 2)
        .await
        .unwrap();
    let old = decide(&site, &store, Verb::Reinstate, "m1", Some(1), 3).await;
    assert!(matches!(old, Err(DecideError::IsRevoked)), "{old:?}");
    present(&store, "m2", &key(2)).await;
    let others = decide(&site, &store, Verb::Reinstate, "m1", Some(2), 3).await;
    assert!(
        matches!(others, Err(DecideError::HeldBy { .. })),
        "{others:?}"
    );
    decide(&site, &store, Verb::Reinstate, "m1", Some(3), 3)
        .await
        .unwrap();
    decide(&site, &store, Verb::Revoke, "m1", None, 4)
        .await
        .unwrap();
    let store = restart(&site, &memory, &store).await;
    assert!(store.state().master(&master("m1")).unwrap().barred);
    assert_eq!(present(&store, "m1", &key(3)).await, Presented::Revoked);
}

/// Whoever can write the database and continue the audit log can still not lift a bar, neither with
/// no statement nor with one from before it was set.
#[tokio::test]
async fn a_forged_or_older_reinstatement_lifts_no_bar() {
    let (site, file) = (Site::new(), File::new());
    let store = site.open(file.open()).await;
    site.signed(&store).await;
    decide(&site, &store, Verb::Revoke, "m1", None, 2)
        .await
        .unwrap();
    decide(&site, &store, Verb::Reinstate, "m1", Some(2), 3)
        .await
        .unwrap();
    store.close().await;
    let lifted = file.value("master/m1").unwrap();
    let store = site.open(file.open()).await;
    decide(&site, &store, Verb::Revoke, "m1", None, 4)
        .await
        .unwrap();
    store.close().await;
    let older = {
        let mut row: serde_json::Value = serde_json::from_slice(&lifted).unwrap();
        row["generation"] = serde_json::json!(5);
        row
    };
    let mut bare = older.clone();
    bare.as_object_mut()
        .unwrap()
        .remove("reinstatement")
        .unwrap();
    for forged in [older, bare] {
        file.write("master/m1", forged.to_string().as_bytes());
        super::tampering::append(
            &file,
            crate::audit::Action::MasterReinstated,
            &["master/m1"],
        );
        let store = site.open(file.open()).await;
        let reported = store.state().quarantined[0].clone();
        assert_eq!(reported.row, "master/m1");
        assert!(reported.why.contains("reinstated it"), "{}", reported.why);
        assert!(store.state().master(&master("m1")).unwrap().barred);
        assert_eq!(present(&store, "m1", &key(3)).await, Presented::Revoked);
        store.close().await;
    }
}
