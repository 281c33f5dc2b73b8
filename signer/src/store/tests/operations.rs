//! What each operation answers, and that a restart changes none of it.

use std::sync::Arc;

use minion::verify::{Algorithm, Signature};
use uuid::Uuid;

use crate::authorize::{Statement, Verb};
use crate::store::testing::{Database, Site, key, master, present};
use crate::store::{DecideError, Memory, Presented, PublishError, SigningKeyError, Status, Store};

async fn site() -> (Site, Memory, Store) {
    let (site, memory) = (Site::new(), Memory::default());
    let store = site.open(memory.open()).await;
    (site, memory, store)
}

/// Opens the same database again: every answer must come out of the rows as well.
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

fn current<T: std::fmt::Debug>(result: Result<T, DecideError>) -> u64 {
    match result {
        Err(DecideError::Conflict { current }) => current,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn a_new_store_has_an_identity_that_it_keeps() {
    let (site, memory, store) = site().await;
    let uuid = store.uuid();
    assert_ne!(uuid, Uuid::nil());
    let store = restart(&site, &memory, &store).await;
    assert_eq!(store.uuid(), uuid);
}

#[tokio::test]
async fn a_first_key_waits_and_goes_on_waiting() {
    let (site, memory, store) = site().await;
    let first = present(&store, "m1", &key(1)).await;
    assert_eq!(first, Presented::Pending { new: true });
    let again = present(&store, "m1", &key(1)).await;
    assert_eq!(again, Presented::Pending { new: false });
    let store = restart(&site, &memory, &store).await;
    let again = present(&store, "m1", &key(1)).await;
    assert_eq!(again, Presented::Pending { new: false });
}

#[tokio::test]
async fn a_second_key_never_takes_the_place_of_the_first() {
    let (site, memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let second = present(&store, "m1", &key(2)).await;
    assert_eq!(second, Presented::Denied { recorded: true });
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 1), Some(Status::Pending));
    assert_eq!(status(&store, 2), Some(Status::Denied));
}

#[tokio::test]
async fn denied_keys_are_listed_up_to_a_bound() {
    let (_site, _memory, store) = site().await;
    present(&store, "m1", &key(0)).await;
    for number in 1..=8 {
        let denied = present(&store, "m1", &key(number)).await;
        assert_eq!(denied, Presented::Denied { recorded: true });
    }
    let ninth = present(&store, "m1", &key(9)).await;
    assert_eq!(ninth, Presented::Denied { recorded: false });
    assert_eq!(status(&store, 9), None);
    assert_eq!(store.state().master(&master("m1")).unwrap().keys.len(), 9);
}

#[tokio::test]
async fn a_key_belongs_to_one_master() {
    let (site, _memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let held = present(&store, "m2", &key(1)).await;
    assert_eq!(held, Presented::HeldBy(master("m1")));
    for verb in [Verb::Accept, Verb::Reject, Verb::Revoke] {
        let statement = site.statement(&store, verb, "m2", Some(key(1).hash()), 1);
        let refused = store.decide(statement).await.unwrap_err();
        assert!(matches!(refused, DecideError::HeldBy { owner } if owner == master("m1")));
    }
}

#[tokio::test]
async fn accepting_makes_the_key_accepted() {
    let (site, memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let statement = site.statement(&store, Verb::Accept, "m1", Some(key(1).hash()), 1);
    let decided = store.decide(statement.clone()).await.unwrap();
    assert_eq!(decided.generation, 1);
    let store = restart(&site, &memory, &store).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Accepted);
    assert_eq!(*decided, **store.state().master(&master("m1")).unwrap());
    let record = &decided.keys[&key(1).hash()];
    assert_eq!(record.decision.as_deref(), Some(statement.signed()));
}

#[tokio::test]
async fn a_repeated_statement_converges_and_an_old_one_conflicts() {
    let (site, _memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let hash = Some(key(1).hash());
    let accept = site.statement(&store, Verb::Accept, "m1", hash, 1);
    let first = store.decide(accept.clone()).await.unwrap();
    let again = store.decide(accept.clone()).await.unwrap();
    assert_eq!(first, again);
    let revoke = site.statement(&store, Verb::Revoke, "m1", hash, 2);
    store.decide(revoke).await.unwrap();
    assert_eq!(current(store.decide(accept).await), 2);
}

#[tokio::test]
async fn a_statement_must_be_the_next_one() {
    let (site, _memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    for generation in [0, 2, u64::MAX] {
        let hash = Some(key(1).hash());
        let statement = site.statement(&store, Verb::Accept, "m1", hash, generation);
        assert_eq!(current(store.decide(statement).await), 0);
    }
    assert_eq!(status(&store, 1), Some(Status::Pending));
}

#[tokio::test]
async fn only_a_key_that_was_shown_can_be_accepted_or_rejected() {
    let (site, _memory, store) = site().await;
    for verb in [Verb::Accept, Verb::Reject] {
        let statement = site.statement(&store, verb, "m1", Some(key(1).hash()), 1);
        let refused = store.decide(statement).await.unwrap_err();
        assert!(matches!(refused, DecideError::UnknownKey { .. }));
    }
    assert!(store.state().masters.is_empty());
}

#[tokio::test]
async fn a_second_key_may_be_accepted_by_name_and_the_first_stays() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    present(&store, "m1", &key(2)).await;
    let statement = site.statement(&store, Verb::Accept, "m1", Some(key(2).hash()), 2);
    store.decide(statement).await.unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(status(&store, 1), Some(Status::Accepted));
    assert_eq!(status(&store, 2), Some(Status::Accepted));
}

#[tokio::test]
async fn a_rejected_key_makes_room_and_may_be_accepted_later() {
    let (site, memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let hash = Some(key(1).hash());
    let reject = site.statement(&store, Verb::Reject, "m1", hash, 1);
    store.decide(reject).await.unwrap();
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Rejected);
    let again = site.statement(&store, Verb::Reject, "m1", hash, 2);
    let refused = store.decide(again).await.unwrap_err();
    assert!(matches!(refused, DecideError::IsRejected));
    let next = present(&store, "m1", &key(2)).await;
    assert_eq!(next, Presented::Pending { new: true });
    let store = restart(&site, &memory, &store).await;
    let accept = site.statement(&store, Verb::Accept, "m1", hash, 2);
    store.decide(accept).await.unwrap();
    assert_eq!(status(&store, 1), Some(Status::Accepted));
}

#[tokio::test]
async fn an_accepted_key_is_revoked_and_not_rejected() {
    let (site, _memory, store) = site().await;
    site.signed(&store).await;
    let reject = site.statement(&store, Verb::Reject, "m1", Some(key(1).hash()), 2);
    let refused = store.decide(reject).await.unwrap_err();
    assert!(matches!(refused, DecideError::IsAccepted));
    assert!(refused.to_string().contains("masters revoke"));
}

#[tokio::test]
async fn a_revoked_key_is_revoked_for_ever() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    let hash = Some(key(1).hash());
    let revoke = site.statement(&store, Verb::Revoke, "m1", hash, 2);
    store.decide(revoke).await.unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Revoked);
    for verb in [Verb::Accept, Verb::Reject] {
        let statement = site.statement(&store, verb, "m1", hash, 3);
        let refused = store.decide(statement).await.unwrap_err();
        assert!(matches!(refused, DecideError::IsRevoked));
    }
    let next = present(&store, "m1", &key(2)).await;
    assert_eq!(next, Presented::Pending { new: true });
}

#[tokio::test]
async fn a_key_can_be_revoked_before_it_is_ever_shown() {
    let (site, memory, store) = site().await;
    let revoke = site.statement(&store, Verb::Revoke, "m1", Some(key(1).hash()), 1);
    store.decide(revoke).await.unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Revoked);
    assert_eq!(
        present(&store, "m2", &key(1)).await,
        Presented::HeldBy(master("m1"))
    );
}

#[tokio::test]
async fn revoking_a_master_bars_its_keys_and_its_id() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    present(&store, "m1", &key(2)).await;
    let revoke = site.statement(&store, Verb::Revoke, "m1", None, 2);
    let decided = store.decide(revoke.clone()).await.unwrap();
    assert!(decided.barred);
    assert_eq!(store.decide(revoke).await.unwrap(), decided);
    let store = restart(&site, &memory, &store).await;
    for number in 1..=3 {
        let presented = present(&store, "m1", &key(number)).await;
        assert_eq!(presented, Presented::Revoked);
    }
    let accept = site.statement(&store, Verb::Accept, "m1", Some(key(2).hash()), 3);
    let refused = store.decide(accept).await.unwrap_err();
    assert!(matches!(refused, DecideError::Barred { .. }));
}

#[tokio::test]
async fn a_statement_of_another_store_says_nothing_here() {
    let (site, _memory, store) = site().await;
    present(&store, "m1", &key(1)).await;
    let signed = site.admin.sign(&Statement {
        verb: Verb::Accept,
        store: Uuid::from_u128(1),
        master: master("m1"),
        key: Some(key(1).hash()),
        generation: 1,
        time: "2026-06-01T00:00:00Z".parse().unwrap(),
    });
    let checked = site.ca.operators().check(&signed).unwrap();
    let refused = store.decide(checked).await.unwrap_err();
    assert!(matches!(refused, DecideError::OtherStore { .. }));
}

#[tokio::test]
async fn the_first_signing_key_is_active_and_another_is_refused() {
    let (site, memory, store) = site().await;
    store.add_signing_key(&site.signer.public).await.unwrap();
    store.add_signing_key(&site.signer.public).await.unwrap();
    let store = restart(&site, &memory, &store).await;
    assert_eq!(store.state().active, Some(site.signer.public.hash()));
    let refused = store.add_signing_key(&key(7)).await.unwrap_err();
    assert!(matches!(refused, SigningKeyError::Other { .. }));
    assert_eq!(store.state().signing_keys.len(), 1);
}

#[tokio::test]
async fn a_published_signature_is_found_and_the_first_one_wins() {
    let (site, memory, store) = site().await;
    let key = site.signed(&store).await;
    let signer = site.signer.public.hash();
    let find = |store: &Store| {
        let state = store.state();
        state
            .signature(signer, Algorithm::Sha1, key.hash())
            .cloned()
    };
    let stored = find(&store).unwrap();
    let mut other = site.publication("m1", &key, 1);
    other.signature = Signature::new(vec![0; 256]);
    let answer = store.publish(other).await.unwrap();
    assert_eq!(answer, stored);
    let store = restart(&site, &memory, &store).await;
    assert_eq!(find(&store).unwrap(), stored);
}

#[tokio::test]
async fn a_signature_is_not_stored_when_the_master_was_decided_about_meanwhile() {
    let (site, _memory, store) = site().await;
    store.add_signing_key(&site.signer.public).await.unwrap();
    let hash = Some(key(1).hash());
    let publish = async |generation| {
        let publication = site.publication("m1", &key(1), generation);
        store.publish(publication).await
    };
    assert!(matches!(
        publish(0).await,
        Err(PublishError::MasterChanged { .. })
    ));
    present(&store, "m1", &key(1)).await;
    assert!(matches!(
        publish(0).await,
        Err(PublishError::MasterChanged { .. })
    ));
    let accept = site.statement(&store, Verb::Accept, "m1", hash, 1);
    store.decide(accept).await.unwrap();
    assert!(matches!(
        publish(0).await,
        Err(PublishError::MasterChanged { .. })
    ));
    let revoke = site.statement(&store, Verb::Revoke, "m1", hash, 2);
    store.decide(revoke).await.unwrap();
    for generation in [1, 2] {
        let refused = publish(generation).await;
        assert!(matches!(refused, Err(PublishError::MasterChanged { .. })));
    }
    assert_eq!(store.state().signatures().count(), 0);
}

#[tokio::test]
async fn a_stored_signature_is_not_handed_out_by_publishing_after_a_revocation() {
    let (site, _memory, store) = site().await;
    let key = site.signed(&store).await;
    let revoke = site.statement(&store, Verb::Revoke, "m1", None, 2);
    store.decide(revoke).await.unwrap();
    let refused = store.publish(site.publication("m1", &key, 1)).await;
    assert!(matches!(refused, Err(PublishError::MasterChanged { .. })));
}

#[tokio::test]
async fn a_signature_by_another_key_is_not_stored() {
    let (site, _memory, store) = site().await;
    let key = site.signed(&store).await;
    let mut publication = site.publication("m1", &key, 1);
    publication.signing_key = key.hash();
    let refused = store.publish(publication).await;
    assert!(matches!(refused, Err(PublishError::NotActive { .. })));
}

#[tokio::test]
async fn a_latched_pin_stays_latched_until_an_operator_lifts_it() {
    let (site, memory, store) = site().await;
    store
        .latch("s1", [1; 32], "CKR_PIN_INCORRECT")
        .await
        .unwrap();
    store
        .latch("s1", [2; 32], "CKR_PIN_INCORRECT")
        .await
        .unwrap();
    store.latch("s2", [3; 32], "CKR_PIN_LOCKED").await.unwrap();
    let store = restart(&site, &memory, &store).await;
    assert!(store.is_latched("s1", &[1; 32]));
    assert!(!store.is_latched("s2", &[1; 32]));
    let operator = crate::audit::Actor::service();
    assert_eq!(store.unlatch("s1", &operator).await.unwrap(), 2);
    assert_eq!(store.unlatch("s1", &operator).await.unwrap(), 0);
    let store = restart(&site, &memory, &store).await;
    assert!(!store.is_latched("s1", &[1; 32]));
    assert!(store.is_latched("s2", &[3; 32]));
}

#[tokio::test]
async fn a_store_of_another_operators_ca_keeps_its_revocations_and_accepts_nobody() {
    let (site, memory, store) = site().await;
    site.signed(&store).await;
    let revoke = site.statement(&store, Verb::Revoke, "m2", Some(key(2).hash()), 1);
    store.decide(revoke).await.unwrap();
    store.close().await;
    let other = Site::new();
    let store = other.open(Arc::new(memory.reopen())).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Quarantined);
    assert_eq!(present(&store, "m2", &key(2)).await, Presented::Revoked);
    assert_eq!(store.state().quarantined.len(), 2);
}
