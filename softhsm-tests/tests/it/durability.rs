//! What was acknowledged is there after any end of the service.

pub(crate) mod as_root;
mod signing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use minion::verify::KeyHash;
use openssl::rand::rand_bytes;
use signer::authorize::{MasterId, Statement, Verb};
use signer::client::{Client, KeyStatus};
use signer::clock::{Clock, SystemClock};
use softhsm_tests::binaries::mastersign;
use softhsm_tests::people::Operator;
use softhsm_tests::process::{Process, run};
use softhsm_tests::service::{Service, Site};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What the service said that it took over from one operator's desk.
#[derive(Debug, Default)]
struct Acknowledged {
    revoked: BTreeSet<KeyHash>,
    generation: u64,
}

impl Acknowledged {
    fn add(&mut self, more: Self) {
        self.revoked.extend(more.revoked);
        self.generation = self.generation.max(more.generation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_lose_nothing_that_was_acknowledged_and_leave_the_chain_whole() {
    let site = Site::create().unwrap();
    // The state is what this is about; without its worker the service starts faster.
    site.without_hsm().unwrap();
    let operator = Arc::new(Operator::new(&site.pki().admin("olga").unwrap()).unwrap());
    let masters: Vec<MasterId> = ["m1", "m2", "m3"].map(|id| id.parse().unwrap()).to_vec();
    let mut known: Vec<Acknowledged> = masters.iter().map(|_| Acknowledged::default()).collect();
    let mut total = 0_usize;
    for round in 0..KILLS {
        if round % 4 == 3 {
            kill_while_it_starts(&site).await;
        }
        let service = site.serve().unwrap();
        let desk = operator.connect(&service).unwrap();
        for (id, known) in masters.iter().zip(&mut known) {
            check(&desk, id, known).await;
        }
        let mut work = JoinSet::new();
        let taken = Arc::new(Semaphore::new(0));
        for (index, id) in masters.iter().enumerate() {
            let (operator, desk, id) = (Arc::clone(&operator), desk.clone(), id.clone());
            let (before, taken) = (known[index].generation, Arc::clone(&taken));
            work.spawn(async move {
                let done = decide_on(&operator, &desk, &id, before, &taken).await;
                (index, done)
            });
        }
        // After some changes were acknowledged, so that a slow machine gets as far as a fast one;
        // the moment from there on is the point, and no event marks it.
        drop(taken.acquire_many(u32::from(random(4))).await.unwrap());
        tokio::time::sleep(Duration::from_millis(u64::from(random(20)))).await;
        service.kill();
        while let Some(done) = work.join_next().await {
            let (index, done) = done.unwrap();
            total = total.saturating_add(done.revoked.len());
            known[index].add(done);
        }
    }
    assert!(
        total >= KILLS,
        "only {total} changes were acknowledged in {KILLS} rounds"
    );
    let service = site.serve().unwrap();
    let desk = operator.connect(&service).unwrap();
    for (id, known) in masters.iter().zip(&mut known) {
        check(&desk, id, known).await;
    }
    let (_, metrics) = service.ask("/metrics").unwrap();
    assert!(
        metrics.contains("mastersign_store_quarantined_rows 0"),
        "{metrics}"
    );
    assert!(service.stop().unwrap().success());
    is_whole(&site);
}

/// The audit chain, and with it every row that it names.
fn is_whole(site: &Site) {
    let mut verify = mastersign().unwrap();
    verify
        .args(["audit", "verify", "--database"])
        .arg(site.database());
    let told = run(&verify).unwrap();
    assert!(
        told.contains("none was changed, removed, added or moved"),
        "{told}"
    );
}

/// Revokes one key after the other until the service is gone.
async fn decide_on(
    operator: &Operator,
    desk: &Client,
    id: &MasterId,
    before: u64,
    taken: &Semaphore,
) -> Acknowledged {
    let mut done = Acknowledged {
        generation: before,
        ..Acknowledged::default()
    };
    for _ in 0..DECISIONS {
        let mut hash = [0; 32];
        rand_bytes(&mut hash).unwrap();
        let hash = KeyHash::new(hash);
        let next = done.generation.saturating_add(1);
        if revoke(operator, desk, id, hash, next).await.is_err() {
            break;
        }
        done.revoked.insert(hash);
        done.generation = next;
        taken.add_permits(1);
    }
    done
}

/// Everything that was acknowledged is there; what was under way may be.
async fn check(desk: &Client, id: &MasterId, known: &mut Acknowledged) {
    if known.generation == 0 && desk.master(id).await.is_err() {
        return;
    }
    let master = desk.master(id).await.unwrap();
    assert!(master.generation >= known.generation, "{id} went back");
    known.generation = master.generation;
    let revoked: BTreeSet<KeyHash> = master
        .keys
        .iter()
        .filter(|key| key.status == KeyStatus::Revoked)
        .map(|key| key.sha256)
        .collect();
    let lost: Vec<_> = known.revoked.difference(&revoked).collect();
    assert!(lost.is_empty(), "{id} lost {lost:?}");
    // What was applied without an answer counts from here on as well.
    known.revoked = revoked;
}

async fn kill_while_it_starts(site: &Site) {
    let mut command = mastersign().unwrap();
    command.arg("serve").arg("--config").arg(site.config());
    let mut process = Process::start(&mut command).unwrap();
    tokio::time::sleep(Duration::from_millis(u64::from(random(120)))).await;
    process.kill();
}

fn random(below: u8) -> u8 {
    let mut byte = [0];
    rand_bytes(&mut byte).unwrap();
    byte[0].checked_rem(below).unwrap_or(0)
}

async fn revoke(
    operator: &Operator,
    desk: &Client,
    id: &MasterId,
    key: KeyHash,
    generation: u64,
) -> anyhow::Result<()> {
    let statement = Statement {
        verb: Verb::Revoke,
        store: desk.signing_keys().await?.store,
        master: id.clone(),
        key: Some(key),
        generation,
        time: SystemClock.now(),
    };
    desk.post_statement(id, &operator.sign(&statement)?).await?;
    Ok(())
}

#[test]
fn a_database_that_cannot_be_written_or_is_another_services_is_refused_by_name() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let service: Service = site.serve().unwrap();
    let mut second = mastersign().unwrap();
    second.arg("serve").arg("--config").arg(site.config());
    let refused = Process::start(&mut second).unwrap();
    refused
        .log()
        .wait_for("another process has the store")
        .unwrap();
    drop(refused);
    assert!(service.stop().unwrap().success());

    let directory = site.directory().join("state");
    std::fs::rename(&directory, site.directory().join("away")).unwrap();
    std::fs::write(&directory, "").unwrap();
    let refused = Process::start(&mut second).unwrap();
    refused.log().wait_for("state").unwrap();
    drop(refused);
    std::fs::remove_file(&directory).unwrap();
    std::fs::rename(site.directory().join("away"), &directory).unwrap();

    std::fs::write(site.database(), "this is no database").unwrap();
    let refused = Process::start(&mut second).unwrap();
    refused.log().wait_for("is damaged").unwrap();
}

/// In one round by one desk; more than there is time for before most kills.
const DECISIONS: usize = 6;
const KILLS: usize = 200;
