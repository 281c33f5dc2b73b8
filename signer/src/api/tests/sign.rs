//! `PUT /v1/signatures/{sha256}`.

use super::*;

#[tokio::test]
async fn an_accepted_key_is_signed_once_and_answered_with_the_same_bytes() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let first = world.put("m1", &key).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let second = world.put("m1", &key).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(first.body, second.body);
    assert_eq!(world.count(), 1);
    let document = first.json();
    let signature =
        Signature::from_file(document["signature"].as_str().unwrap().as_bytes()).unwrap();
    let signing_key = &world.signer.key.public;
    signing_key
        .verify(Algorithm::Sha1, &key.public, &signature)
        .unwrap();
    assert_eq!(document["algorithm"], "PKCS1v15-SHA1");
    assert_eq!(document["public_key_sha256"], key.public.hash().to_string());
    assert_eq!(document["signing_key"], signing_key.hash().to_string());
    assert_eq!(document["master"], "m1");
    assert_eq!(document["created_at"], NOW);
    assert!(document["audit_seq"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_new_key_waits_for_an_operator_and_says_how_to_compare_it() {
    let world = World::new().await;
    let key = MasterKey::generate();
    for _ in 0..2 {
        let reply = world.put("m1", &key).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
        let body = reply.json();
        assert_eq!(body["status"], "pending");
        assert_eq!(body["public_key_sha256"], key.public.hash().to_string());
        assert!(body["fingerprints"]["salt"].as_str().unwrap().contains(':'));
    }
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn another_key_under_an_accepted_id_is_denied_and_not_signed() {
    let world = World::new().await;
    world.accepted("m1").await;
    let other = MasterKey::generate();
    for _ in 0..2 {
        world.put("m1", &other).await.refused(403, "key-denied");
    }
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn another_masters_certificate_gets_nothing() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    world.accepted("m2").await;
    world.put("m2", &key).await.refused(403, "not-yours");
    let own_proof = world.body("m1", &key);
    let reply = world.put_body("m2", &signature_path(&key), own_proof).await;
    reply.refused(403, "proof-refused");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn an_operator_has_nothing_signed() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let body = world.body("m1", &key);
    let path = signature_path(&key);
    let reply = world
        .call(admin("ada"), Method::PUT, &path, Some(body))
        .await;
    reply.refused(403, "forbidden");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_proof_for_anything_else_is_refused() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let right = world.proof("m1", &key);
    for wrong in [
        Proof {
            purpose: Purpose::Join,
            ..right.clone()
        },
        Proof {
            purpose: Purpose::Renew,
            ..right.clone()
        },
        Proof {
            purpose: Purpose::Request,
            ..right.clone()
        },
        Proof {
            store: uuid::Uuid::from_u128(1),
            ..right.clone()
        },
        Proof {
            client_key: [7; 32],
            ..right.clone()
        },
        Proof {
            master: "m2".parse().unwrap(),
            ..right.clone()
        },
        Proof {
            key: KeyHash::new([7; 32]),
            ..right.clone()
        },
    ] {
        let body = presentation(&key, &wrong);
        let reply = world.put_body("m1", &signature_path(&key), body).await;
        reply.refused(403, "proof-refused");
        assert_eq!(reply.json()["expected_text"], right.to_string());
    }
    let stolen = MasterKey {
        private: MasterKey::generate().private,
        public: Arc::clone(&key.public),
    };
    world.put("m1", &stolen).await.refused(403, "proof-refused");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_stale_proof_is_refused_and_the_skew_named() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let body = world.body("m1", &key);
    world.clock.advance(601);
    let reply = world.put_body("m1", &signature_path(&key), body).await;
    assert!(
        reply
            .refused(403, "proof-refused")
            .contains("601 seconds behind")
    );
    assert_eq!(reply.json()["skew_seconds"], 601);
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_proof_seen_again_under_the_same_tls_key_does_no_harm() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let body = world.body("m1", &key);
    let path = signature_path(&key);
    let first = world.put_body("m1", &path, body.clone()).await;
    let again = world.put_body("m1", &path, body).await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::OK)
    );
    assert_eq!((first.body, world.count()), (again.body, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_requests_are_one_signature() {
    let world = Arc::new(World::new().await);
    let key = world.accepted("m1").await;
    let body = world.body("m1", &key);
    let path = signature_path(&key);
    world.signer.close();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (world, path, body) = (Arc::clone(&world), path.clone(), body.clone());
        requests.spawn(async move { world.put_body("m1", &path, body).await });
    }
    while world.service.waiting() < 1000 {
        tokio::task::yield_now().await;
    }
    world.signer.open();
    let replies = requests.join_all().await;
    let created = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::CREATED);
    assert_eq!(created.count(), 1);
    let [first, rest @ ..] = replies.as_slice() else {
        panic!("no replies");
    };
    assert!(
        rest.iter()
            .all(|reply| reply.status.is_success() && reply.body == first.body)
    );
    assert_eq!(world.count(), 1);
}

#[tokio::test]
async fn a_revoked_key_is_not_served_although_it_is_cached() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    assert_eq!(world.put("m1", &key).await.status, StatusCode::CREATED);
    world.decide(Verb::Revoke, "m1", &key).await;
    world.put("m1", &key).await.refused(403, "key-revoked");
    world
        .get(master("m1"), &signature_path(&key))
        .await
        .refused(403, "key-revoked");
    assert_eq!(world.count(), 1);
}

#[tokio::test]
async fn a_rejected_key_and_a_barred_master_have_names_of_their_own() {
    let world = World::new().await;
    let key = MasterKey::generate();
    world.put("m1", &key).await;
    world.decide(Verb::Reject, "m1", &key).await;
    world.put("m1", &key).await.refused(403, "key-rejected");
    let bar = world.statement(Verb::Revoke, "m1", None);
    assert_eq!(
        world.post(admin("ada"), &world.ada, &bar).await.status,
        StatusCode::OK
    );
    world.put("m1", &key).await.refused(403, "key-revoked");
    world
        .put("m1", &MasterKey::generate())
        .await
        .refused(403, "key-revoked");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_revocation_overtakes_a_signature_that_is_being_made() {
    let world = Arc::new(World::new().await);
    let key = world.accepted("m1").await;
    let (path, body) = (signature_path(&key), world.body("m1", &key));
    world.signer.close();
    let request = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_body("m1", &path, body).await }
    });
    world.signer.has_begun().await;
    world.decide(Verb::Revoke, "m1", &key).await;
    world.signer.open();
    request.await.unwrap().refused(403, "key-revoked");
    assert_eq!(world.service.store().state().signatures().count(), 0);
}

#[tokio::test]
async fn a_decision_about_another_key_costs_a_second_attempt_and_nothing_else() {
    let world = Arc::new(World::new().await);
    let key = world.accepted("m1").await;
    let other = MasterKey::generate();
    world.put("m1", &other).await.refused(403, "key-denied");
    let (path, body) = (signature_path(&key), world.body("m1", &key));
    world.signer.close();
    let request = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_body("m1", &path, body).await }
    });
    world.signer.has_begun().await;
    world.decide(Verb::Reject, "m1", &other).await;
    world.signer.open();
    assert_eq!(request.await.unwrap().status, StatusCode::CREATED);
    assert_eq!(world.count(), 2);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_end_the_signature() {
    let world = Arc::new(World::new().await);
    let key = world.accepted("m1").await;
    let (path, body) = (signature_path(&key), world.body("m1", &key));
    world.signer.close();
    let request = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put_body("m1", &path, body).await }
    });
    world.signer.has_begun().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    world.signer.open();
    world.service.close().await;
    assert_eq!(world.put("m1", &key).await.status, StatusCode::OK);
    assert_eq!(world.count(), 1);
}

#[tokio::test]
async fn without_an_hsm_stored_signatures_are_served_and_new_ones_can_be_retried() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let other = world.accepted("m2").await;
    let before = world.put("m1", &key).await;
    world.signer.is_down.store(true, Ordering::SeqCst);
    let after = world.put("m1", &key).await;
    assert_eq!((after.status, &after.body), (StatusCode::OK, &before.body));
    let reply = world.put("m2", &other).await;
    reply.refused(503, "hsm-unavailable");
    assert_eq!(reply.json()["retriable"], true);
    assert!(reply.headers.contains_key("retry-after"));
    world.signer.is_down.store(false, Ordering::SeqCst);
    assert_eq!(world.put("m2", &other).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_hsm_with_another_key_signs_nothing_that_is_served() {
    let mut world = World::new().await;
    let key = world.accepted("m1").await;
    let other = SoftwareSigner::new();
    let stranger = Arc::new(SoftwareSigner {
        key: MasterKey {
            private: other.key.private,
            public: Arc::clone(&world.signer.key.public),
        },
        ..SoftwareSigner::new()
    });
    world.exchange_signer(&stranger);
    world.put("m1", &key).await.refused(503, "hsm-unavailable");
    assert_eq!(world.service.store().state().signatures().count(), 0);
    let honest = Arc::new(SoftwareSigner::new());
    world.exchange_signer(&honest);
    world.put("m1", &key).await.refused(503, "hsm-unavailable");
    assert_eq!(honest.count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_path_names_the_key_in_the_body() {
    let world = World::new().await;
    let (key, other) = (world.accepted("m1").await, MasterKey::generate());
    let body = world.body("m1", &key);
    let reply = world
        .put_body("m1", &signature_path(&other), body.clone())
        .await;
    let detail = reply.refused(422, "unprocessable");
    assert!(detail.contains(&key.public.hash().to_string()), "{detail}");
    let upper = signature_path(&key)
        .to_uppercase()
        .replace("/V1/SIGNATURES", "/v1/signatures");
    world
        .put_body("m1", &upper, body)
        .await
        .refused(400, "bad-request");
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_key_may_end_with_one_newline_and_is_otherwise_canonical() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let mut body = world.body("m1", &key);
    for spelled in [
        key.public.canonical().replace('\n', "\r\n"),
        format!("{}\n\n", key.public.canonical()),
        format!("\n{}", key.public.canonical()),
    ] {
        body["public_key"] = json!(spelled);
        let reply = world
            .put_body("m1", &signature_path(&key), body.clone())
            .await;
        reply.refused(422, "key-not-canonical");
    }
    body["public_key"] = json!(key.public.to_file());
    let reply = world.put_body("m1", &signature_path(&key), body).await;
    assert_eq!(reply.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_private_key_is_refused_by_name_and_not_repeated_or_logged() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let private = String::from_utf8(key.private.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let secret = private.lines().nth(3).unwrap().to_owned();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("begin");
    let mut body = world.body("m1", &key);
    body["public_key"] = json!(private);
    let reply = world.put_body("m1", &signature_path(&key), body).await;
    let detail = reply.refused(422, "key-not-canonical");
    assert!(detail.contains("private key"), "{detail}");
    assert!(!String::from_utf8_lossy(&reply.body).contains(&secret));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("begin") && !log.contains(&secret));
}

#[tokio::test]
async fn the_signing_key_and_weak_keys_are_not_even_listed() {
    let world = World::new().await;
    let signing = MasterKey {
        private: world.signer.key.private.clone(),
        public: Arc::clone(&world.signer.key.public),
    };
    world.put("m1", &signing).await.refused(422, "key-unfit");
    let short = MasterKey::with_bits(2056);
    let reply = world.put("m1", &short).await;
    reply.refused(422, "key-unfit");
    assert_eq!(reply.json()["reason"], "bits");
    assert!(world.service.store().state().masters.is_empty());
}

#[tokio::test]
async fn the_algorithm_is_the_callers_wish_else_the_masters_setting_else_sha1() {
    let fips: MasterId = "fips".parse().unwrap();
    let world = World::with_masters([(fips, Algorithm::Sha224)]).await;
    let (key, other) = (world.accepted("fips").await, world.accepted("m2").await);
    assert_eq!(
        world.put("fips", &key).await.json()["algorithm"],
        "PKCS1v15-SHA224"
    );
    assert_eq!(
        world.put("m2", &other).await.json()["algorithm"],
        "PKCS1v15-SHA1"
    );
    let wish = |key: &MasterKey, name: &str| format!("{}?algorithm={name}", signature_path(key));
    let path = wish(&key, "PKCS1v15-SHA1");
    let reply = world
        .put_body("fips", &path, world.body("fips", &key))
        .await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.json()["algorithm"], "PKCS1v15-SHA1");
    for unknown in ["PKCS1v15-SHA256", "sha1", ""] {
        let body = world.body("fips", &key);
        let reply = world.put_body("fips", &wish(&key, unknown), body).await;
        reply.refused(422, "unprocessable");
    }
    let path = format!("{}?algorithms=PKCS1v15-SHA1", signature_path(&key));
    let reply = world
        .put_body("fips", &path, world.body("fips", &key))
        .await;
    reply.refused(400, "bad-request");
    assert_eq!(world.count(), 3);
}

#[tokio::test]
async fn a_body_that_is_no_presentation_is_refused_without_repeating_it() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let path = signature_path(&key);
    let reply = world.put_body("m1", &path, json!({ "secret": "x" })).await;
    assert!(!reply.refused(422, "unprocessable").contains("secret"));
    let mut body = world.body("m1", &key);
    body["proof"] = json!("not base64!");
    world
        .put_body("m1", &path, body)
        .await
        .refused(422, "unprocessable");
    let request = Request::put(&path)
        .extension(Arc::new(master("m1")))
        .body(Body::from("{}"))
        .unwrap();
    world
        .send(request)
        .await
        .refused(415, "unsupported-media-type");
    let request = Request::put(&path)
        .extension(Arc::new(master("m1")))
        .header("content-type", "application/json")
        .body(Body::from(vec![b' '; 17 * 1024]))
        .unwrap();
    world.send(request).await.refused(413, "body-too-large");
}

impl World {
    /// The same store, with another signer in front of it.
    fn exchange_signer(&mut self, signer: &Arc<SoftwareSigner>) {
        let parts = Parts {
            store: self.service.store().clone(),
            signer: Arc::clone(signer) as Arc<dyn Signer>,
            operators: Arc::new(self.ca.operators()),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            examiner: Examiner::start().unwrap(),
            signing: Signing {
                default_algorithm: Algorithm::Sha1,
                masters: [].into(),
            },
        };
        self.service = Arc::new(Service::new(parts));
    }
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
