//! The same with a token: acceptances and signatures, which share commits with each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use minion::verify::Algorithm;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use signer::authorize::MasterId;
use signer::client::{Client, KeyStatus, Put};
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::process::PATIENCE;
use tokio::time::timeout;

use super::*;

/// What the service said that it took over.
#[derive(Debug, Default)]
struct Answered {
    accepted: BTreeMap<KeyHash, MasterId>,
    signed: BTreeMap<(KeyHash, Algorithm), String>,
}

impl Answered {
    fn len(&self) -> usize {
        self.accepted.len().saturating_add(self.signed.len())
    }

    fn add(&mut self, more: Self) {
        self.accepted.extend(more.accepted);
        self.signed.extend(more.signed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_between_acceptances_and_signatures_lose_none_that_was_answered() {
    let site = Site::create().unwrap();
    let operator = Arc::new(Operator::new(&site.pki().admin("olga").unwrap()).unwrap());
    let mut known = Answered::default();
    let mut interrupted = 0_usize;
    for round in 0..ROUNDS {
        let service = site.serve().unwrap();
        service.log().wait_for("the HSM is ready").unwrap();
        let desk = operator.connect(&service).unwrap();
        check(&desk, &known).await;
        let mut work = JoinSet::new();
        let taken = Arc::new(Semaphore::new(0));
        for number in 0..MASTERS {
            let papers = site.pki().master(&format!("m{round}-{number}")).unwrap();
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            let master = Master::with_key(&papers, key).unwrap();
            let client = master.connect(&service).unwrap();
            let (operator, desk) = (Arc::clone(&operator), desk.clone());
            let taken = Arc::clone(&taken);
            work.spawn(async move { ask(&operator, &desk, &master, &client, &taken).await });
        }
        // As above: some answers, so that a slow machine gets as far as a fast one, and a moment.
        // Fewer than there are in all, so that some are still under way.
        let some = taken.acquire_many(u32::from(random(6)));
        drop(timeout(PATIENCE, some).await.unwrap().unwrap());
        tokio::time::sleep(Duration::from_millis(u64::from(random(8)))).await;
        service.kill();
        let mut answered = Answered::default();
        while let Some(done) = work.join_next().await {
            answered.add(done.unwrap());
        }
        interrupted = interrupted.saturating_add(usize::from(answered.len() < ALL));
        known.add(answered);
    }
    // What was to be interrupted was, and there is something to lose.
    assert!(
        interrupted >= ROUNDS / 4,
        "{interrupted} of {ROUNDS} rounds"
    );
    assert!(known.accepted.len() >= ROUNDS, "{}", known.accepted.len());
    assert!(known.signed.len() >= ROUNDS / 2, "{}", known.signed.len());

    let service = site.serve().unwrap();
    let desk = operator.connect(&service).unwrap();
    check(&desk, &known).await;
    assert!(service.stop().unwrap().success());
    is_whole(&site);
}

/// Shows a key, has it accepted, and asks for both signatures at once, until the service is gone.
async fn ask(
    operator: &Operator,
    desk: &Client,
    master: &Master,
    client: &Client,
    taken: &Semaphore,
) -> Answered {
    let mut answered = Answered::default();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    if operator.admit(desk, master, client).await.is_err() {
        return answered;
    }
    answered.accepted.insert(key, id.clone());
    taken.add_permits(1);
    let sign = async |algorithm| {
        let put = master.put(client, algorithm).await.ok()?;
        let Put::Signed { new, document } = put else {
            panic!("{put:?}");
        };
        assert!(new, "nobody asked for it before");
        taken.add_permits(1);
        Some(((key, algorithm), document.signature))
    };
    let (sha1, sha224) = tokio::join!(sign(Algorithm::Sha1), sign(Algorithm::Sha224));
    answered.signed.extend(sha1.into_iter().chain(sha224));
    answered
}

/// Reading never signs, so what is answered is what was stored.
async fn check(desk: &Client, known: &Answered) {
    for (key, id) in &known.accepted {
        let master = desk.master(id).await.unwrap();
        let found = master.keys.iter().find(|found| found.sha256 == *key);
        let status = found.map(|found| found.status);
        assert_eq!(status, Some(KeyStatus::Accepted), "{id} {key}");
    }
    for ((key, algorithm), signature) in &known.signed {
        let found = desk.get_signature(*key, Some(*algorithm), None).await;
        assert_eq!(&found.unwrap().signature, signature, "{key} {algorithm}");
    }
}

const ROUNDS: usize = 24;
/// Who asks in one round.
const MASTERS: usize = 4;
/// The answers of a round that is not interrupted: an acceptance and two signatures for each.
const ALL: usize = MASTERS * 3;
