//! A fleet that does not fit into one answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use minion::verify::KeyHash;
use serde_json::Value;
use signer::authorize::{MasterId, Statement, Verb};
use signer::client::Client;
use signer::clock::{Clock, SystemClock};
use softhsm_tests::binaries::mastersign;
use softhsm_tests::people::Operator;
use softhsm_tests::process::run;
use softhsm_tests::service::Site;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_is_larger_than_a_page_is_listed_whole() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let service = site.serve().unwrap();
    let papers = site.pki().admin("olga").unwrap();
    let operator = Arc::new(Operator::new(&papers).unwrap());
    let desk = operator.connect(&service).unwrap();
    let ids: BTreeSet<MasterId> = (0..MASTERS)
        .map(|number| format!("m{number}").parse().unwrap())
        .collect();
    decide(&site, &operator, &desk, ids.iter().cloned()).await;

    let listed = desk.masters().await.unwrap();
    assert_eq!(listed.len(), MASTERS);
    assert_eq!(
        listed
            .into_iter()
            .map(|one| one.id)
            .collect::<BTreeSet<_>>(),
        ids
    );
    let (_, metrics) = service.ask("/metrics").unwrap();
    let counted = ["mastersign_http_requests_total", "route=\"/v1/masters\""];
    let asked = metrics
        .lines()
        .find(|line| counted.iter().all(|word| line.contains(word)));
    assert!(asked.unwrap().ends_with(" 2"), "{asked:?}");

    let mut list = mastersign().unwrap();
    list.args([
        "masters",
        "list",
        "--output",
        "json",
        "--url",
        &service.url(),
    ])
    .args(papers.options());
    let shown: Value = serde_json::from_str(&run(&list).unwrap()).unwrap();
    let text = shown.to_string();
    for id in &ids {
        assert!(text.contains(&format!("\"{id}\"")), "{id} is not listed");
    }
}

/// Masters come into being by being decided about: as many at once as commits are shared by.
async fn decide(
    site: &Site,
    operator: &Arc<Operator>,
    desk: &Client,
    ids: impl Iterator<Item = MasterId>,
) {
    let mut work = JoinSet::new();
    let mut waiting = (0_u64..).zip(ids);
    loop {
        while work.len() < 16
            && let Some((number, id)) = waiting.next()
        {
            let (operator, desk) = (Arc::clone(operator), desk.clone());
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let statement = Statement {
                verb: Verb::Revoke,
                store: site.store(),
                master: id.clone(),
                key: Some(KeyHash::new(hash)),
                generation: 1,
                time: SystemClock.now(),
            };
            work.spawn(async move {
                let signed = operator.sign(&statement).unwrap();
                desk.post_statement(&id, &signed).await.unwrap();
            });
        }
        match work.join_next().await {
            Some(done) => done.unwrap(),
            None => break,
        }
    }
}

/// One more than a page has.
const MASTERS: usize = 1001;
