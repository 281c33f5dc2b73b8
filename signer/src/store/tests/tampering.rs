//! What an intruder with write access to the database gets: nothing signed, nothing served, and a
//! report.

use minion::verify::{Algorithm, KeyHash};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{Action, Actor, Digest, Event, Record};
use crate::authorize::Verb;
use crate::authorize::testing::TestCa;
use crate::clock::Clock;
use crate::store::testing::{Database, File, Noon, Site, key, master, present};
use crate::store::{OpenError, Presented, Status, Store};

/// A site whose database is closed and lies open to the intruder.
async fn site() -> (Site, File) {
    let (site, file) = (Site::new(), File::new());
    let store = site.open(file.open()).await;
    site.signed(&store).await;
    present(&store, "m2", &key(2)).await;
    store.close().await;
    (site, file)
}

fn key_row(number: u32) -> String {
    format!("key/{}", key(number).hash())
}

fn signature_row(site: &Site) -> String {
    let signer = site.signer.public.hash();
    format!("signature/{signer}/PKCS1v15-SHA1/{}", key(1).hash())
}

fn edit(file: &File, row: &str, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&file.value(row).unwrap()).unwrap();
    change(&mut value);
    file.write(row, value.to_string().as_bytes());
}

fn status(store: &Store, hash: KeyHash) -> Option<Status> {
    store.state().key(&hash).map(|(_, record)| record.status)
}

/// The only thing that is reported.
fn reported(store: &Store) -> (String, String) {
    let state = store.state();
    assert_eq!(state.quarantined.len(), 1, "{:?}", state.quarantined);
    (
        state.quarantined[0].row.clone(),
        state.quarantined[0].why.clone(),
    )
}

#[tokio::test]
async fn a_forged_acceptance_counts_for_nothing() {
    let (site, file) = site().await;
    let stolen: Value = serde_json::from_slice(&file.value(&key_row(1)).unwrap()).unwrap();
    edit(&file, &key_row(2), |row| {
        row["status"] = json!("accepted");
        row["statement"] = stolen["statement"].clone();
    });
    let store = site.open(file.open()).await;
    assert_eq!(reported(&store).0, key_row(2));
    assert_eq!(status(&store, key(2).hash()), Some(Status::Quarantined));
    assert_eq!(present(&store, "m2", &key(2)).await, Presented::Quarantined);
    assert_eq!(status(&store, key(1).hash()), Some(Status::Accepted));
}

/// As above, by somebody who continues the audit chain correctly as well: then only the operator's
/// signature helps.
#[tokio::test]
async fn a_forged_acceptance_with_a_forged_audit_record_counts_for_nothing() {
    let (site, file) = site().await;
    let intruder = TestCa::new().admin("ada");
    let genuine = site.open(file.open()).await;
    let forged = site.sign(&genuine, Verb::Accept, "m2", Some(key(2).hash()), 1);
    genuine.close().await;
    let forged = crate::authorize::SignedStatement {
        certificate: intruder.certificate,
        ..forged
    };
    edit(&file, &key_row(2), |row| {
        row["status"] = json!("accepted");
        row["statement"] = serde_json::to_value(&forged).unwrap();
    });
    edit(&file, "master/m2", |row| row["generation"] = json!(1));
    append(&file, Action::KeyAccepted, &[&key_row(2), "master/m2"]);
    let store = site.open(file.open()).await;
    let (row, why) = reported(&store);
    assert_eq!(row, key_row(2));
    assert!(
        why.contains("signature") || why.contains("certificate"),
        "{why}"
    );
    assert_eq!(present(&store, "m2", &key(2)).await, Presented::Quarantined);
}

#[tokio::test]
async fn a_row_for_a_key_that_nobody_showed_is_reported_and_ignored() {
    let (site, file) = site().await;
    let row = file.value(&key_row(1)).unwrap();
    let planted = format!("key/{}", key(3).hash());
    file.write(&planted, &row);
    let store = site.open(file.open()).await;
    let (row, why) = reported(&store);
    assert_eq!((row, why.as_str()), (planted, "no audit record wrote it"));
    assert_eq!(status(&store, key(3).hash()), None);
    // The name is not lost: a key that is really shown takes the row's place.
    assert_eq!(
        present(&store, "m3", &key(3)).await,
        Presented::Pending { new: true }
    );
    assert_eq!(store.state().quarantined, []);
}

#[tokio::test]
async fn an_old_acceptance_replayed_after_the_revocation_stays_revoked() {
    let (site, file) = site().await;
    let accepted = file.value(&key_row(1)).unwrap();
    let before = file.value("master/m1").unwrap();
    let store = site.open(file.open()).await;
    let revoke = site.statement(&store, Verb::Revoke, "m1", Some(key(1).hash()), 2);
    store.decide(revoke).await.unwrap();
    store.close().await;
    file.write(&key_row(1), &accepted);
    let store = site.open(file.open()).await;
    assert_eq!(reported(&store).0, key_row(1));
    assert_eq!(status(&store, key(1).hash()), Some(Status::Revoked));
    let accept = site.statement(&store, Verb::Accept, "m1", Some(key(1).hash()), 3);
    store.decide(accept).await.unwrap_err();
    store.close().await;
    // With the master's row of that time as well.
    file.write("master/m1", &before);
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined.len(), 2);
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Revoked);
    assert_eq!(store.state().master(&master("m1")).unwrap().generation, 2);
}

#[tokio::test]
async fn with_a_configured_id_no_other_store_is_opened() {
    let (site, file) = site().await;
    let configured = Uuid::new_v4();
    let refused = site.try_open_as(file.open(), Some(configured)).await;
    let refused = refused.unwrap_err();
    let OpenError::OtherStore { found, .. } = refused else {
        panic!("{refused}");
    };
    // It says which one it is, and only that one opens it.
    let store = site.try_open_as(file.open(), Some(found)).await.unwrap();
    assert_eq!(store.uuid(), found);
    store.close().await;
    // The name alone does not make it ours: the first record of the audit log has the other one.
    edit(&file, "meta/store", |row| row["uuid"] = json!(configured));
    let refused = site.try_open_as(file.open(), Some(configured)).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, OpenError::Identity), "{refused}");

    let empty = File::new();
    let store = site.try_open_as(empty.open(), Some(configured)).await;
    let store = store.unwrap();
    assert_eq!(store.uuid(), configured);
}

#[tokio::test]
async fn a_removed_revocation_is_noticed() {
    let (site, file) = site().await;
    let store = site.open(file.open()).await;
    let revoke = site.statement(&store, Verb::Revoke, "m9", Some(key(9).hash()), 1);
    store.decide(revoke).await.unwrap();
    let bar = site.statement(&store, Verb::Revoke, "m8", None, 1);
    store.decide(bar).await.unwrap();
    store.close().await;
    file.remove(&key_row(9));
    file.remove("master/m8");
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined.len(), 2);
    assert_eq!(present(&store, "m9", &key(9)).await, Presented::Revoked);
    assert_eq!(present(&store, "m8", &key(8)).await, Presented::Revoked);
}

#[tokio::test]
async fn a_turned_back_generation_takes_the_masters_keys_out_of_service() {
    let (site, file) = site().await;
    edit(&file, "master/m1", |row| row["generation"] = json!(0));
    let store = site.open(file.open()).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Quarantined);
    assert_eq!(store.state().master(&master("m1")).unwrap().generation, 1);
}

#[tokio::test]
async fn an_operator_heals_a_quarantined_key_by_deciding_again() {
    let (site, file) = site().await;
    edit(&file, &key_row(1), |row| {
        row["since"] = json!("2020-01-01T00:00:00Z");
    });
    let store = site.open(file.open()).await;
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Quarantined);
    let accept = site.statement(&store, Verb::Accept, "m1", Some(key(1).hash()), 2);
    store.decide(accept).await.unwrap();
    assert_eq!(store.state().quarantined, []);
    store.close().await;
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined, []);
    assert_eq!(present(&store, "m1", &key(1)).await, Presented::Accepted);
}

#[tokio::test]
async fn a_flipped_bit_in_a_signature_takes_it_out_of_service() {
    let (site, file) = site().await;
    edit(&file, &signature_row(&site), |row| {
        let text = row["signature"].as_str().unwrap();
        let mut characters = text.chars();
        let flipped = if characters.next() == Some('A') {
            "B"
        } else {
            "A"
        };
        row["signature"] = json!(format!("{flipped}{}", characters.as_str()));
    });
    let store = site.open(file.open()).await;
    assert_eq!(reported(&store).0, signature_row(&site));
    let signer = site.signer.public.hash();
    let find = |store: &Store| {
        let state = store.state();
        state
            .signature(signer, Algorithm::Sha1, key(1).hash())
            .cloned()
    };
    assert_eq!(find(&store), None);
    // The key is still accepted, so it can be signed again, and the new signature takes the place
    // of the bad one.
    store
        .publish(site.publication("m1", &key(1), 1))
        .await
        .unwrap();
    store.close().await;
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined, []);
    assert!(find(&store).is_some());
}

#[tokio::test]
async fn a_signature_that_the_chain_vouches_for_must_verify_all_the_same() {
    let (site, file) = site().await;
    let row = signature_row(&site);
    edit(&file, &row, |row| {
        row["signature"] = json!("A".repeat(342) + "==");
    });
    append(&file, Action::SignaturePublished, &[&row]);
    let store = site.open(file.open()).await;
    let (bad, why) = reported(&store);
    assert_eq!((bad, why.as_str()), (row, "the signature does not verify"));
    assert_eq!(store.state().signatures().count(), 0);
}

#[tokio::test]
async fn another_signing_key_in_the_row_is_not_served_and_the_hsm_repairs_it() {
    let (site, file) = site().await;
    let signer = site.signer.public.hash();
    let row = format!("signing-key/{signer}");
    edit(&file, &row, |row| {
        row["public_key"] = json!(key(5).canonical());
    });
    let store = site.open(file.open()).await;
    assert!(store.state().active_signing_key().is_none());
    assert_eq!(store.state().signatures().count(), 0);
    store.add_signing_key(&key(5)).await.unwrap_err();
    store.add_signing_key(&site.signer.public).await.unwrap();
    store.close().await;
    let store = site.open(file.open()).await;
    assert_eq!(store.state().quarantined, []);
    assert_eq!(store.state().signatures().count(), 1);
}

#[tokio::test]
async fn an_edited_audit_record_keeps_the_store_closed() {
    let (site, file) = site().await;
    let row = format!("audit/record/{:020}", 3);
    edit(&file, &row, |record| {
        record["subject"] = json!("nothing to see here");
    });
    let refused = site.try_open(file.open()).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Audit(broken) if broken.seq == 3),
        "{refused}"
    );
    assert!(refused.to_string().contains("record 3"));
    assert!(refused.to_string().contains("backup"));
}

#[tokio::test]
async fn a_record_that_was_edited_with_care_breaks_at_the_next_one() {
    let (site, file) = site().await;
    let row = format!("audit/record/{:020}", 3);
    let text = String::from_utf8(file.value(&row).unwrap()).unwrap();
    file.write(&row, text.replace("m1", "m7").as_bytes());
    let refused = site.try_open(file.open()).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Audit(broken) if broken.seq == 4),
        "{refused}"
    );
}

#[tokio::test]
async fn a_removed_audit_record_keeps_the_store_closed() {
    let (site, file) = site().await;
    for seq in [6, 3, 1] {
        let row = format!("audit/record/{seq:020}");
        let bytes = file.value(&row).unwrap();
        file.remove(&row);
        let refused = site.try_open(file.open()).await.unwrap_err();
        assert!(
            matches!(&refused, OpenError::Audit(broken) if broken.seq == seq),
            "{refused}"
        );
        file.write(&row, &bytes);
    }
    site.open(file.open()).await;
}

#[tokio::test]
async fn a_removed_head_keeps_the_store_closed() {
    let (site, file) = site().await;
    file.remove("audit/head");
    let refused = site.try_open(file.open()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Audit(_)), "{refused}");
}

#[tokio::test]
async fn another_identity_keeps_the_store_closed() {
    let (site, file) = site().await;
    let uuid = Uuid::from_u128(1);
    edit(&file, "meta/store", |row| row["uuid"] = json!(uuid));
    let refused = site.try_open(file.open()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Identity), "{refused}");
}

#[tokio::test]
async fn a_newer_layout_keeps_the_store_closed() {
    let (site, file) = site().await;
    edit(&file, "meta/schema", |row| row["min_writer"] = json!(2));
    let refused = site.try_open(file.open()).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Newer { found: 2 }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_removed_latch_stays_latched() {
    let (site, file) = site().await;
    let store = site.open(file.open()).await;
    store
        .latch("s1", [1; 32], "CKR_PIN_INCORRECT")
        .await
        .unwrap();
    store.close().await;
    file.remove(&format!("pin-latch/{}", "01".repeat(32)));
    let store = site.open(file.open()).await;
    assert!(store.is_latched("s1", &[1; 32]));
    assert_eq!(store.unlatch("s1", &Actor::service()).await.unwrap(), 1);
}

/// Continues the audit chain as the service would.
pub(super) fn append(file: &File, action: Action, rows: &[&str]) {
    let head: Value = serde_json::from_slice(&file.value("audit/head").unwrap()).unwrap();
    let seq = head["seq"].as_u64().unwrap().saturating_add(1);
    let writes = rows.iter().map(|row| {
        let digest = Digest::of(&file.value(row).unwrap());
        ((*row).to_owned(), Some(digest))
    });
    let event = Event {
        time: Noon.now(),
        actor: Actor::service(),
        action,
        subject: "forged".to_owned(),
        detail: [("master", "m2"), ("generation", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        writes: writes.collect(),
    };
    let record = event.chain(seq, head["hash"].as_str().unwrap().parse().unwrap());
    let bytes = record.to_bytes().unwrap();
    let head = json!({"v": 1, "seq": seq, "hash": Record::hash(&bytes)});
    file.write(&format!("audit/record/{seq:020}"), &bytes);
    file.write("audit/head", head.to_string().as_bytes());
}
