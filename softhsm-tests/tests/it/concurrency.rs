//! However many ask at once, the token signs once.

use std::sync::Arc;

use minion::verify::{Algorithm, Signature};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signer::client::{Client, Put};
use softhsm_tests::people::{Master, Operator, Proven};
use softhsm_tests::rounds;
use softhsm_tests::service::Site;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_concurrent_first_requests_make_exactly_one_signature() {
    allow_a_thousand_connections();
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    for round in 0..rounds() {
        let papers = site.pki().master(&format!("alpha-{round}")).unwrap();
        let master = Arc::new(Master::new(&papers).unwrap());
        let client = master.connect(&service).unwrap();
        operator.admit(&desk, &master, &client).await.unwrap();

        let signatures = ask_a_thousand_times(&master, &client).await;
        assert_eq!(signatures.len(), REQUESTS);
        let signature = signatures.first().unwrap();
        assert!(signatures.iter().all(|other| other == signature));
        site.token()
            .public_key()
            .verify(Algorithm::Sha1, master.public_key(), signature)
            .unwrap();
        let counts = site.token().counts();
        assert_eq!(
            counts
                .signatures(Algorithm::Sha1, master.public_key())
                .unwrap(),
            1
        );
        assert_eq!(
            counts
                .signatures(Algorithm::Sha224, master.public_key())
                .unwrap(),
            0
        );
    }
}

/// All requests at once; each must be answered with a signature.
async fn ask_a_thousand_times(master: &Arc<Master>, client: &Client) -> Vec<Signature> {
    // One proof for all, so that the requests follow each other as fast as they can be sent.
    let store = client.signing_keys().await.unwrap().store;
    let proof = master.prove(store).unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let (master, client, proof) = (Arc::clone(master), client.clone(), proof.clone());
        requests.spawn(async move {
            let Proven { time, signature } = proof;
            let key = master.public_key();
            let put = client.put_signature(key, Some(Algorithm::Sha1), time, &signature);
            match put.await.unwrap() {
                Put::Signed { document, .. } => document.signature().unwrap(),
                Put::Pending(_) => panic!("an accepted key is pending"),
            }
        });
    }
    requests.join_all().await
}

const REQUESTS: usize = 1000;

/// Each request has a connection of its own, at both ends; children inherit the limit.
fn allow_a_thousand_connections() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8192)), hard).unwrap();
}
