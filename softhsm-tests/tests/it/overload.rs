//! Ten times what the token can do: the token stays busy with what was let in, and the rest is told
//! to come back before it costs the token anything.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minion::verify::{Algorithm, KeyHash};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use signer::client::{Client, Error, Put};
use softhsm_tests::people::{Master, Operator, Proven};
use softhsm_tests::service::Site;
use tokio::task::JoinSet;

/// A master with everything that it needs to ask.
struct Asking {
    master: Master,
    client: Client,
    proof: Proven,
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_capacity_keeps_the_token_busy_and_the_rest_is_turned_away_before_it() {
    let site = Site::create().unwrap();
    site.configure(|text| {
        text.replace(
            "sessions = 2\n",
            &format!("sessions = 2\nqueue = {QUEUE}\n"),
        )
        .replace(
            "FAULT_MODULE_COUNTS",
            "FAULT_MODULE_SIGN_DELAY = \"20\"\nFAULT_MODULE_COUNTS",
        )
    })
    .unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    let mut keys = keys(CALM + LOADED);
    let mut asking = Vec::new();
    for number in 0..CALM + LOADED {
        let papers = site.pki().master(&format!("m{number}")).unwrap();
        let master = Master::with_key(&papers, keys.pop().unwrap()).unwrap();
        let client = master.connect(&service).unwrap();
        operator.admit(&desk, &master, &client).await.unwrap();
        let proof = master.prove(site.store()).unwrap();
        asking.push(Arc::new(Asking {
            master,
            client,
            proof,
        }));
    }
    let loaded = asking.split_off(CALM);

    let calm = calm(asking).await;
    let before = signatures(&site);
    let begin = Instant::now();
    let outcome = storm(loaded).await;
    outcome.was_ten_times(calm, begin.elapsed());
    let Outcome {
        signed,
        turned_away,
        ..
    } = outcome;
    let rate = rate(signed.len(), begin.elapsed());
    // Each signature that the token made was an answer, and nothing that was turned away reached
    // it.
    assert_eq!(signatures(&site) - before, signed.len());
    assert!(
        turned_away > signed.len() * 4,
        "{turned_away} of {} were turned away",
        signed.len()
    );
    assert!(
        rate >= calm * 0.8,
        "{rate:.1} signatures a second under load, {calm:.1} without"
    );
    let (_, metrics) = service.ask("/metrics").unwrap();
    assert!(metrics.contains("status=\"503\""), "{metrics}");
}

/// The token's own pace: two callers, as many as there are sessions, one signature after the other.
async fn calm(asking: Vec<Arc<Asking>>) -> f64 {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    let count = asking.len().saturating_mul(Algorithm::ALL.len());
    for half in asking.chunks(asking.len().div_ceil(2)) {
        let half = half.to_vec();
        callers.spawn(async move {
            for one in half {
                for algorithm in Algorithm::ALL {
                    assert!(matches!(ask(&one, algorithm).await, Ok(Put::Signed { .. })));
                }
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    rate(count, begin.elapsed())
}

#[derive(Default)]
struct Outcome {
    signed: HashSet<(KeyHash, Algorithm)>,
    turned_away: usize,
    /// How many requests were sent until all that is left waited for an answer, and how long that
    /// took.
    offered: usize,
    pressed: Duration,
}

impl Outcome {
    /// The load was what the test is about, and for most of the time: at the end the queue holds all
    /// that is left.
    fn was_ten_times(&self, calm: f64, whole: Duration) {
        let load = rate(self.offered, self.pressed);
        assert!(
            load >= calm * 9.0,
            "{load:.1} requests a second, {calm:.1} signatures without load"
        );
        assert!(
            self.pressed * 2 > whole,
            "under load for {:?} of {whole:?} only",
            self.pressed
        );
    }
}

/// Asks for what is not signed yet, ten times as often as the token signs, until all is signed.
async fn storm(asking: Vec<Arc<Asking>>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut under_way: HashSet<(KeyHash, Algorithm)> = HashSet::new();
    let mut wanted: Vec<(Arc<Asking>, Algorithm)> = asking
        .into_iter()
        .flat_map(|one| Algorithm::ALL.map(|algorithm| (Arc::clone(&one), algorithm)))
        .collect();
    let mut requests = JoinSet::new();
    let (begin, mut is_pressed) = (Instant::now(), true);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            _ = tick.tick(), if !wanted.is_empty() => {
                // Whoever waits for an answer does not ask again; the others go round.
                let free = wanted.iter().position(|(one, algorithm)| {
                    !under_way.contains(&(one.master.public_key().hash(), *algorithm))
                });
                let Some(free) = free else {
                    is_pressed = false;
                    continue;
                };
                if is_pressed {
                    outcome.offered = outcome.offered.saturating_add(1);
                    outcome.pressed = begin.elapsed();
                }
                let (one, algorithm) = wanted.remove(free);
                wanted.push((Arc::clone(&one), algorithm));
                let name = (one.master.public_key().hash(), algorithm);
                under_way.insert(name);
                requests.spawn(async move { (name, ask(&one, algorithm).await) });
            }
            Some(done) = requests.join_next() => {
                let (name, answer) = done.unwrap();
                under_way.remove(&name);
                match answer {
                    Ok(Put::Signed { .. }) => {
                        outcome.signed.insert(name);
                        wanted.retain(|(one, algorithm)| {
                            (one.master.public_key().hash(), *algorithm) != name
                        });
                    }
                    Err(Error::Refused(problem)) if problem.status == 503 => {
                        outcome.turned_away = outcome.turned_away.saturating_add(1);
                    }
                    other => panic!("{other:?}"),
                }
            }
            else => return outcome,
        }
    }
}

async fn ask(one: &Asking, algorithm: Algorithm) -> Result<Put, Error> {
    let key = one.master.public_key();
    let Proven { time, signature } = &one.proof;
    one.client
        .put_signature(key, Some(algorithm), *time, signature)
        .await
}

/// What the token signed, but for its trial signatures.
fn signatures(site: &Site) -> usize {
    let own = site.token().public_key();
    site.token().counts().signatures_but_over(own).unwrap()
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

/// Making keys is what takes longest here, so all cores do it.
fn keys(count: usize) -> Vec<PKey<Private>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = count.div_ceil(cores);
    let make = move || -> Vec<PKey<Private>> {
        let key = |_| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        (0..share).map(key).collect()
    };
    let mut threads: Vec<_> = Vec::new();
    threads.resize_with(cores, || std::thread::spawn(make));
    let made = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap());
    made.collect()
}

/// Masters before the load, and under it; each has two signatures to ask for.
const CALM: usize = 25;
const LOADED: usize = 75;
/// A fifth of a second of the token's work.
const QUEUE: usize = 10;
