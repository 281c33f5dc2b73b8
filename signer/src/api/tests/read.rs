//! `GET` of signatures, signing keys and masters.

use super::*;

#[tokio::test]
async fn a_signature_is_read_as_the_very_file_that_salt_serves() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let path = signature_path(&key);
    world
        .get(master("m1"), &path)
        .await
        .refused(404, "not-found");
    assert_eq!(world.count(), 0);
    let made = world.put("m1", &key).await.json();
    for reader in [master("m1"), admin("ada")] {
        let reply = world.get(reader, &path).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(
            reply.body,
            format!("{}\n", made["signature"].as_str().unwrap())
        );
        assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    }
    let request = Request::get(&path)
        .extension(Arc::new(master("m1")))
        .header("accept", "application/json")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.send(request).await.json(), made);
    assert_eq!(world.count(), 1);
}

#[tokio::test]
async fn an_unchanged_signature_is_not_sent_again() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.put("m1", &key).await;
    let path = signature_path(&key);
    let etag = world.get(master("m1"), &path).await.headers["etag"].clone();
    for (tag, status) in [
        (etag.to_str().unwrap().to_owned(), StatusCode::NOT_MODIFIED),
        (
            format!("\"x\", W/{}", etag.to_str().unwrap()),
            StatusCode::NOT_MODIFIED,
        ),
        ("\"x\"".to_owned(), StatusCode::OK),
    ] {
        let request = Request::get(&path)
            .extension(Arc::new(master("m1")))
            .header("if-none-match", tag)
            .body(Body::empty())
            .unwrap();
        let reply = world.send(request).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers["etag"], etag);
    }
    world.decide(Verb::Revoke, "m1", &key).await;
    let request = Request::get(&path)
        .extension(Arc::new(master("m1")))
        .header("if-none-match", etag)
        .body(Body::empty())
        .unwrap();
    world.send(request).await.refused(403, "key-revoked");
}

#[tokio::test]
async fn a_signature_is_there_at_once_for_its_own_master_that_has_read_it_and_may_still() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let path = signature_path(&key);
    let sha1 = format!("{path}?algorithm=PKCS1v15-SHA1");
    let is_there = |id: &str, path: &str| world.is_there_at_once(&master(id), path);
    assert!(!is_there("m1", &path), "it is not even made");
    world.put("m1", &key).await;
    for path in [&path, &sha1] {
        world.get(master("m1"), path).await;
        assert!(is_there("m1", path), "{path}");
        assert!(!is_there("m2", path), "{path}");
        // An admin's first reading is put on record.
        assert!(!world.is_there_at_once(&admin("ada"), path));
    }
    for other in [
        format!("{path}?algorithm=PKCS1v15-SHA224"),
        format!("{path}?algorithm=PKCS1v15-SHA1&key={}", key.public.hash()),
        format!("{path}?algorithm=MD5"),
        format!("{path}?"),
        format!("{path}/more"),
        signature_path(&MasterKey::generate()),
        "/v1/signing-keys".to_owned(),
    ] {
        assert!(!is_there("m1", &other), "{other}");
    }
    world.decide(Verb::Revoke, "m1", &key).await;
    assert!(!is_there("m1", &path) && !is_there("m1", &sha1));
}

#[tokio::test]
async fn others_learn_nothing_about_a_masters_signature() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.put("m1", &key).await;
    let path = signature_path(&key);
    let other = world
        .get(master("m2"), &path)
        .await
        .refused(404, "not-found");
    let unknown = signature_path(&MasterKey::generate());
    let none = world
        .get(master("m2"), &unknown)
        .await
        .refused(404, "not-found");
    assert_eq!(other, none);
    for role in ["auditor", "metrics"] {
        let caller = peer(&format!("mastersign:{role}:eve"));
        world.get(caller, &path).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_signature_by_another_key_or_algorithm_is_another_signature() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.put("m1", &key).await;
    let path = signature_path(&key);
    let kid = world.signer.key.public.hash();
    let reply = world.get(master("m1"), &format!("{path}?key={kid}")).await;
    assert_eq!(reply.status, StatusCode::OK);
    for wish in [
        format!("key={}", key.public.hash()),
        "algorithm=PKCS1v15-SHA224".to_owned(),
    ] {
        let reply = world.get(master("m1"), &format!("{path}?{wish}")).await;
        reply.refused(404, "not-found");
    }
    let reply = world.get(master("m1"), &format!("{path}?key=none")).await;
    reply.refused(422, "unprocessable");
}

#[tokio::test]
async fn anybody_with_a_certificate_reads_the_trust_set() {
    let world = World::new().await;
    let signing = &world.signer.key.public;
    for caller in [
        "master:m1",
        "admin:ada",
        "auditor:eve",
        "metrics:prometheus",
    ] {
        let caller = peer(&format!("mastersign:{caller}"));
        let all = world.get(caller.clone(), "/v1/signing-keys").await.json();
        assert_eq!(all["store"], json!(world.service.store().uuid()));
        let [one] = all["signing_keys"].as_array().unwrap().as_slice() else {
            panic!("not one key: {all}");
        };
        assert_eq!(one["id"], signing.hash().to_string());
        assert_eq!(one["state"], "active");
        assert_eq!(one["bits"], 2048);
        let path = format!("/v1/signing-keys/{}", signing.hash());
        assert_eq!(&world.get(caller.clone(), &path).await.json(), one);
        let pem = world.get(caller, &format!("{path}/public.pem")).await;
        assert_eq!(pem.body, signing.to_file());
    }
    let unknown = format!("/v1/signing-keys/{}", KeyHash::new([1; 32]));
    world
        .get(master("m1"), &unknown)
        .await
        .refused(404, "not-found");
}

#[tokio::test]
async fn an_admin_sees_every_master_with_its_keys() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let waiting = MasterKey::generate();
    world.put("m2", &waiting).await;
    let all = world.get(admin("ada"), "/v1/masters").await.json();
    let masters = all["masters"].as_array().unwrap();
    assert_eq!(masters.len(), 2);
    assert_eq!(masters[0]["generation"], 1);
    let shown = &masters[0]["keys"][0];
    assert_eq!(shown["sha256"], key.public.hash().to_string());
    assert_eq!(shown["status"], "accepted");
    assert_eq!(shown["public_key"], key.public.canonical());
    let spki = minion::verify::Fingerprint::spki(&key.public).unwrap();
    assert_eq!(shown["fingerprints"]["spki"], spki.to_string());
    assert_eq!(
        world.get(admin("ada"), "/v1/masters/m2").await.json(),
        masters[1]
    );
    assert_eq!(masters[1]["keys"][0]["status"], "pending");
    world
        .get(admin("ada"), "/v1/masters/m3")
        .await
        .refused(404, "not-found");
    world
        .get(admin("ada"), "/v1/masters/m%20")
        .await
        .refused(400, "bad-request");
}

#[tokio::test]
async fn lists_have_tags_too_and_are_not_sent_again() {
    let world = World::new().await;
    world.accepted("m1").await;
    for path in ["/v1/masters", "/v1/masters/m1", "/v1/signing-keys"] {
        let first = world.get(admin("ada"), path).await;
        let etag = first.headers["etag"].clone();
        let request = |tag| {
            Request::get(path)
                .extension(Arc::new(admin("ada")))
                .header("if-none-match", tag)
                .body(Body::empty())
                .unwrap()
        };
        let known = world.send(request(etag.clone())).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED, "{path}");
        assert!(known.body.is_empty());
        assert_eq!(known.headers["etag"], etag);
        let other = world.send(request("\"x\"".parse().unwrap())).await;
        assert_eq!(
            (other.status, other.body),
            (StatusCode::OK, first.body),
            "{path}"
        );
    }
    let before = world.get(admin("ada"), "/v1/masters").await.headers["etag"].clone();
    world.put("m2", &MasterKey::generate()).await;
    let after = world.get(admin("ada"), "/v1/masters").await.headers["etag"].clone();
    assert_ne!(before, after);
}

#[tokio::test]
async fn masters_are_listed_in_pages() {
    let world = World::new().await;
    for id in ["m1", "m2", "m3"] {
        world.put(id, &MasterKey::generate()).await;
    }
    let whole = world.get(admin("ada"), "/v1/masters").await.json();
    let mut path = "/v1/masters?limit=2".to_owned();
    let mut paged = Vec::new();
    loop {
        let reply = world.get(admin("ada"), &path).await;
        paged.extend(reply.json()["masters"].as_array().unwrap().clone());
        let Some(link) = reply.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(Value::from(paged), whole["masters"]);
    for wrong in ["limit=0", "limit=x", "after=a%20b", "page=2"] {
        let reply = world
            .get(admin("ada"), &format!("/v1/masters?{wrong}"))
            .await;
        assert!(reply.status.is_client_error(), "{wrong}");
    }
}

/// Also where an answer is there already and the router is not asked.
#[tokio::test]
async fn nobody_gets_to_a_path_without_a_certificate_or_with_one_that_lapsed() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.put("m1", &key).await;
    let signature = signature_path(&key);
    for (method, path) in [
        (Method::GET, signature.as_str()),
        (Method::HEAD, &signature),
        (Method::PUT, &signature),
        (Method::GET, "/v1/masters"),
        (Method::GET, "/nowhere"),
    ] {
        let request = || Request::builder().method(method.clone()).uri(path);
        let nameless = request().body(Body::empty()).unwrap();
        let reply = world.send(nameless).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method} {path}");
        let lapsed = request()
            .extension(Arc::new(master("m1")))
            .extension(Lapsed)
            .body(Body::empty())
            .unwrap();
        world.send(lapsed).await.refused(403, "certificate-refused");
    }
}
