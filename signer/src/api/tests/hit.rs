//! A signature that is in memory costs neither reading a PEM text nor writing base64.

use sha2::{Digest, Sha256};

use super::*;

#[tokio::test]
async fn a_hit_sends_the_very_bytes_that_were_encoded_once() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let path = signature_path(&key);
    let put = world.put("m1", &key).await;
    let file = world.get(master("m1"), &path).await;
    // What is encoded anew is in another place.
    for _ in 0..2 {
        assert!(world.is_there_at_once(&master("m1"), &path));
        let again = world.get(master("m1"), &path).await;
        assert_eq!(again.body.as_ptr(), file.body.as_ptr());
        let at_once = world.at_once(&master("m1"), &path, HeaderMap::new()).await;
        assert_eq!(at_once.body.as_ptr(), file.body.as_ptr());
        let json = [("accept", "application/json")];
        let json = json.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let document = world
            .at_once(&master("m1"), &path, HeaderMap::from_iter(json))
            .await;
        assert_eq!(document.body.as_ptr(), put.body.as_ptr());
        let put_again = world.put("m1", &key).await;
        assert_eq!(put_again.body.as_ptr(), put.body.as_ptr());
    }
}

#[tokio::test]
async fn a_text_that_was_admitted_before_is_known_by_its_hash_and_not_parsed() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let first = world.put("m1", &key).await;
    // A text that no parser takes, in the place of the one that was admitted.
    let junk = "this is no PEM";
    let hash = KeyHash::new(Sha256::digest(junk).into());
    let mut body = world.body("m1", &key);
    body["public_key"] = json!(junk);
    let path = format!("/v1/signatures/{hash}");
    let refused = world.put_body("m1", &path, body.clone()).await;
    refused.refused(422, "key-not-canonical");

    world.service.store().edit_state(|state| {
        let id: MasterId = "m1".parse().unwrap();
        let mut master = state.master(&id).unwrap().as_ref().clone();
        let record = master.keys[&key.public.hash()].clone();
        master.keys.insert(hash, record);
        state.owners.insert(hash, id.clone());
        state.masters.insert(id, Arc::new(master));
    });
    let hit = world.put_body("m1", &path, body).await;
    assert_eq!((hit.status, hit.body), (StatusCode::OK, first.body));
    assert_eq!(world.count(), 1);
}

impl World {
    async fn at_once(&self, peer: &Peer, path: &str, headers: HeaderMap) -> Reply {
        let api = super::super::Api::new(Arc::clone(&self.service));
        let answer = api.answer_at_once(peer, &path.parse().unwrap(), &headers);
        reply(answer.unwrap()).await
    }
}
