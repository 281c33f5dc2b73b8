//! Nothing is answered before it is durable: a signature that the database does not take is not
//! served.

use super::*;
use crate::store::testing::{Fault, Faulty};

#[tokio::test]
async fn a_signature_that_cannot_be_stored_is_served_by_no_route() {
    // A full disk; a transaction that went astray; one that is applied and never confirmed.
    for fault in [Fault::Unavailable, Fault::RequestLost, Fault::Silence] {
        let faulty = Faulty::new(&Memory::default());
        let world = World::on(Arc::<Faulty>::clone(&faulty), []).await;
        let key = world.accepted("m1").await;
        let path = signature_path(&key);
        let before = faulty.begun();
        faulty.set(fault);
        for _ in 0..2 {
            let refused = world.put("m1", &key).await;
            let detail = refused.refused(503, "store-unavailable");
            assert!(detail.contains("could not be stored"), "{detail}");
            assert_eq!(refused.json()["retriable"], true);
            assert!(refused.headers.contains_key("retry-after"));
            for reader in [master("m1"), admin("ada")] {
                assert!(!world.is_there_at_once(&reader, &path));
                world.get(reader, &path).await.refused(404, "not-found");
            }
        }
        // It was signed, and it is the database that failed.
        assert_eq!(world.count(), 2);
        assert!(faulty.begun() > before);
        faulty.set(Fault::None);
        let answer = world.put("m1", &key).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let read = world.get(master("m1"), &path).await;
        assert_eq!(read.status, StatusCode::OK);
        let signature = std::str::from_utf8(&read.body).unwrap().trim_end();
        assert_eq!(answer.json()["signature"], signature);
    }
}

#[tokio::test]
async fn no_answer_leaves_while_the_database_has_not_confirmed() {
    let faulty = Faulty::new(&Memory::default());
    let world = Arc::new(World::on(Arc::<Faulty>::clone(&faulty), []).await);
    let key = world.accepted("m1").await;
    let (path, body) = (signature_path(&key), world.body("m1", &key));
    let before = faulty.begun();
    let gate = faulty.gate.lock().await;
    let request = tokio::spawn({
        let (world, path) = (Arc::clone(&world), path.clone());
        async move { world.put_body("m1", &path, body).await }
    });
    while faulty.begun() == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.count(), 1);
    assert!(!request.is_finished());
    world
        .get(master("m1"), &path)
        .await
        .refused(404, "not-found");
    drop(gate);
    assert_eq!(request.await.unwrap().status, StatusCode::CREATED);
}
