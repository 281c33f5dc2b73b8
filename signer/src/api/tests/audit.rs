//! The audit log: who reads it, and what gets into it.

use super::*;
use crate::audit::{Action, Record, chain};

impl World {
    async fn records(&self) -> Vec<Record> {
        let reply = self.get(auditor(), "/v1/audit").await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        serde_json::from_value(reply.json()["records"].clone()).unwrap()
    }

    async fn count_of(&self, action: Action) -> usize {
        let records = self.records().await;
        records
            .iter()
            .filter(|record| record.action == action)
            .count()
    }
}

fn auditor() -> Peer {
    peer("mastersign:auditor:eve")
}

#[tokio::test]
async fn an_auditor_gets_the_very_bytes_that_are_hashed_and_nobody_else_does() {
    let world = World::new().await;
    world.accepted("m1").await;
    let reply = world.get(auditor(), "/v1/audit").await;
    let (body, text) = (
        reply.json(),
        String::from_utf8(reply.body.to_vec()).unwrap(),
    );
    let records: Vec<Record> = serde_json::from_value(body["records"].clone()).unwrap();
    let bytes: Vec<_> = records
        .iter()
        .map(|record| record.to_bytes().unwrap())
        .collect();
    for bytes in &bytes {
        assert!(text.contains(std::str::from_utf8(bytes).unwrap()));
    }
    let head = chain::verify(bytes.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(body["head"], serde_json::to_value(head).unwrap());
    for caller in [master("m1"), admin("ada"), peer("mastersign:metrics:p")] {
        world
            .get(caller, "/v1/audit")
            .await
            .refused(403, "forbidden");
    }
}

#[tokio::test]
async fn the_log_is_read_in_pages() {
    let world = World::new().await;
    world.accepted("m1").await;
    let whole = world.records().await;
    let mut path = "/v1/audit?limit=2".to_owned();
    let mut paged: Vec<Record> = Vec::new();
    loop {
        let reply = world.get(auditor(), &path).await;
        let page: Vec<Record> = serde_json::from_value(reply.json()["records"].clone()).unwrap();
        paged.extend(page);
        let Some(link) = reply.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert!(whole.len() > 2);
    assert_eq!(paged, whole);
    world
        .get(auditor(), "/v1/audit?limit=0")
        .await
        .refused(422, "unprocessable");
    world
        .get(auditor(), "/v1/audit?after=x")
        .await
        .refused(400, "bad-request");
}

#[tokio::test]
async fn a_refused_proof_is_recorded_and_a_flood_of_them_is_counted() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let stolen = MasterKey {
        private: MasterKey::generate().private,
        public: Arc::clone(&key.public),
    };
    for _ in 0..4 {
        world.put("m1", &stolen).await.refused(403, "proof-refused");
    }
    assert_eq!(world.count_of(Action::ProofRefused).await, 1);
    let body = world.body("m1", &key);
    world.clock.advance(601);
    world
        .put_body("m1", &signature_path(&key), body)
        .await
        .refused(403, "proof-refused");
    let records = world.records().await;
    let last = records.last().unwrap();
    assert_eq!(last.action, Action::ProofRefused);
    assert_eq!(last.actor.identity, "mastersign:master:m1");
    assert_eq!(last.detail["reason"], "skewed");
    assert_eq!(last.detail["unrecorded"], "3");
}

#[tokio::test]
async fn the_first_reader_of_a_signature_is_recorded_and_the_second_time_is_not() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let path = signature_path(&key);
    for _ in 0..2 {
        world.put("m1", &key).await;
        assert_eq!(world.get(master("m1"), &path).await.status, StatusCode::OK);
    }
    // The record of the signature names whom it was made for.
    assert_eq!(world.count_of(Action::SignatureServed).await, 0);
    assert_eq!(world.count_of(Action::SignaturePublished).await, 1);
    for (reader, count) in [("ada", 1), ("ada", 1), ("bob", 2)] {
        assert_eq!(world.get(admin(reader), &path).await.status, StatusCode::OK);
        assert_eq!(world.count_of(Action::SignatureServed).await, count);
    }
    let records = world.records().await;
    assert_eq!(
        records.last().unwrap().actor.identity,
        "mastersign:admin:bob"
    );
}
