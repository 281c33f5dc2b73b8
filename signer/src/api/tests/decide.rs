//! `POST /v1/masters/{id}/statements`.

use super::*;

async fn waiting(world: &World) -> (MasterKey, Statement) {
    let key = MasterKey::generate();
    world.put("m1", &key).await;
    let statement = world.statement(Verb::Accept, "m1", Some(key.public.hash()));
    (key, statement)
}

#[tokio::test]
async fn an_acceptance_answers_with_the_master_after_it() {
    let world = World::new().await;
    let (key, statement) = waiting(&world).await;
    let reply = world.post(admin("ada"), &world.ada, &statement).await;
    assert_eq!(reply.status, StatusCode::OK);
    let body = reply.json();
    assert_eq!(
        (&body["id"], &body["generation"]),
        (&json!("m1"), &json!(1))
    );
    assert_eq!(body["keys"][0]["status"], "accepted");
    assert_eq!(world.put("m1", &key).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_statement_by_anybody_elses_certificate_decides_nothing() {
    let world = World::new().await;
    let (key, statement) = waiting(&world).await;
    let masters_ca = TestCa::new();
    for signer in [
        masters_ca.admin("ada"),
        masters_ca.issue(&["mastersign:master:m1"]),
        world.ca.issue(&["mastersign:master:m1"]),
        world.ca.issue(&["mastersign:auditor:ada"]),
    ] {
        let reply = world.post(admin("ada"), &signer, &statement).await;
        reply.refused(403, "statement-refused");
    }
    let reply = world.post(master("m1"), &world.ada, &statement).await;
    reply.refused(403, "forbidden");
    let detail = world.post(admin("bob"), &world.ada, &statement).await;
    assert!(detail.refused(403, "statement-refused").contains("ada"));
    assert_eq!(world.put("m1", &key).await.status, StatusCode::ACCEPTED);
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_statement_counts_for_the_master_in_the_path_and_this_store() {
    let world = World::new().await;
    let (_, statement) = waiting(&world).await;
    let body = serde_json::to_value(world.ada.sign(&statement)).unwrap();
    let path = "/v1/masters/m2/statements";
    let reply = world
        .call(admin("ada"), Method::POST, path, Some(body))
        .await;
    reply.refused(422, "unprocessable");
    let elsewhere = Statement {
        store: uuid::Uuid::from_u128(1),
        ..statement
    };
    let reply = world.post(admin("ada"), &world.ada, &elsewhere).await;
    reply.refused(403, "statement-refused");
}

#[tokio::test]
async fn a_statement_is_handed_in_soon_after_it_was_signed() {
    let world = World::new().await;
    let (_, statement) = waiting(&world).await;
    world.clock.advance(601);
    let reply = world.post(admin("ada"), &world.ada, &statement).await;
    assert!(
        reply
            .refused(403, "statement-refused")
            .contains("601 seconds")
    );
    world.clock.advance(-1);
    let reply = world.post(admin("ada"), &world.ada, &statement).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn who_decides_second_is_told_the_current_generation() {
    let world = World::new().await;
    let (key, statement) = waiting(&world).await;
    let reject = Statement {
        verb: Verb::Reject,
        ..statement.clone()
    };
    assert_eq!(
        world
            .post(admin("ada"), &world.ada, &statement)
            .await
            .status,
        StatusCode::OK
    );
    let reply = world.post(admin("ada"), &world.ada, &reject).await;
    reply.refused(409, "conflict");
    assert_eq!(reply.json()["generation"], 1);
    assert_eq!(world.put("m1", &key).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_old_acceptance_does_not_undo_a_revocation() {
    let world = World::new().await;
    let (key, accept) = waiting(&world).await;
    assert_eq!(
        world.post(admin("ada"), &world.ada, &accept).await.status,
        StatusCode::OK
    );
    world.decide(Verb::Revoke, "m1", &key).await;
    world
        .post(admin("ada"), &world.ada, &accept)
        .await
        .refused(409, "conflict");
    let anew = world.statement(Verb::Accept, "m1", Some(key.public.hash()));
    world
        .post(admin("ada"), &world.ada, &anew)
        .await
        .refused(409, "conflict");
    world.put("m1", &key).await.refused(403, "key-revoked");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_key_that_was_never_shown_cannot_be_accepted() {
    let world = World::new().await;
    let statement = world.statement(Verb::Accept, "m1", Some(KeyHash::new([1; 32])));
    world
        .post(admin("ada"), &world.ada, &statement)
        .await
        .refused(404, "not-found");
}
