//! One key of each weak kind, shown by a master that can prove it holds it.

use axum::http::StatusCode;
use num_bigint::BigUint;

use super::*;
use crate::key_policy::testing::{RFC_9500, next_prime, of_modulus, pair, primes, roca_prime};
use crate::store::Status;

#[tokio::test]
async fn a_weak_key_of_each_kind_is_refused_by_name_and_not_even_listed() {
    let world = World::new().await;
    let one = BigUint::from(1_u32);
    let [p, q, r] = primes(1024);
    let [long] = primes(2048);
    let [cofactor] = primes(2040);
    let close = next_prime(&(&p + (&one << 500_u32)));
    let kinds = [
        ("small-factor", pair(&BigUint::from(251_u32), &cofactor)),
        ("roca", pair(&roca_prime(1), &roca_prime(2))),
        ("power", of_modulus(&(&p * &p), &(&p * (&p - &one)))),
        ("close-primes", pair(&p, &close)),
        ("prime-modulus", of_modulus(&long, &(&long - &one))),
    ];
    for (reason, key) in kinds {
        let reply = world.put("m1", &key).await;
        reply.refused(422, "key-unfit");
        assert_eq!(reply.json()["reason"], reason);
    }
    assert!(world.service.store().state().masters.is_empty());

    let (first, second) = (pair(&p, &q), pair(&p, &r));
    assert_eq!(world.put("m1", &first).await.status, StatusCode::ACCEPTED);
    let reply = world.put("m2", &second).await;
    let detail = reply.refused(422, "key-unfit");
    assert_eq!(reply.json()["reason"], "shared-factor");
    assert!(!detail.contains(&first.public.hash().to_string()));
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_key_with_a_prime_of_a_key_that_was_turned_down_is_refused() {
    let world = World::new().await;
    let [p, q, r, s, t, u, v, w] = primes(1024);
    // One key in each state in which it is not signed, all of one master.
    let (revoked, rejected, denied) = (pair(&p, &q), pair(&r, &s), pair(&t, &u));
    assert_eq!(world.put("m1", &revoked).await.status, StatusCode::ACCEPTED);
    world.decide(Verb::Accept, "m1", &revoked).await;
    world.decide(Verb::Revoke, "m1", &revoked).await;
    assert_eq!(
        world.put("m1", &rejected).await.status,
        StatusCode::ACCEPTED
    );
    world.decide(Verb::Reject, "m1", &rejected).await;
    let accepted = world.accepted("m1").await;
    world.put("m1", &denied).await.refused(403, "key-denied");
    for (key, status) in [
        (&revoked, Status::Revoked),
        (&rejected, Status::Rejected),
        (&denied, Status::Denied),
        (&accepted, Status::Accepted),
    ] {
        let state = world.service.store().state();
        assert_eq!(state.key(&key.public.hash()).unwrap().1.status, status);
    }

    for (prime, other) in [(&q, &v), (&s, &v), (&u, &w)] {
        for id in ["m1", "m2"] {
            let reply = world.put(id, &pair(prime, other)).await;
            reply.refused(422, "key-unfit");
            assert_eq!(reply.json()["reason"], "shared-factor");
        }
    }
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_key_with_a_prime_of_the_signing_key_is_refused() {
    let world = World::new().await;
    let signer = world.signer.key.private.rsa().unwrap();
    let p = BigUint::from_bytes_be(&signer.p().unwrap().to_vec());
    let [q] = primes(1024);
    let reply = world.put("m1", &pair(&p, &q)).await;
    reply.refused(422, "key-unfit");
    assert_eq!(reply.json()["reason"], "shared-factor");
}

#[tokio::test]
async fn a_key_whose_private_half_is_published_is_refused_without_asking_for_a_proof() {
    let world = World::new().await;
    let key = MasterKey {
        private: MasterKey::generate().private,
        public: Arc::new(PublicKey::parse(RFC_9500.as_bytes()).unwrap()),
    };
    let reply = world.put("m1", &key).await;
    let detail = reply.refused(422, "key-unfit");
    assert_eq!(reply.json()["reason"], "known-key");
    assert!(detail.contains("RFC 9500"));
}
