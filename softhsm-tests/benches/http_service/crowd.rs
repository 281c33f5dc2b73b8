//! Whether many masters make each request slower.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use minion::verify::{Algorithm, PublicKey};
use signer::authorize::{OperatorsCa, Statement, Verb};
use signer::clock::{Clock, SystemClock};
use signer::pki::Scope;
use signer::store::{Actor, Presented, Sqlite, Store};
use softhsm_tests::measure::{Spread, fraction};
use softhsm_tests::people::Operator;
use softhsm_tests::pool::Rig;

use crate::Verdicts;
use crate::cached::Load;
use crate::connection::get;
use crate::keys;
use crate::site::Site;

/// Two services at once, one with ten accepted masters and one with ten thousand.
pub(crate) async fn measure(verdicts: &mut Verdicts) -> Result<()> {
    let (_few, mut few) = crowded(FEW).await?;
    let (_many, mut many) = crowded(MANY).await?;
    few.timed_turn().await?;
    many.timed_turn().await?;
    let mut before = slowest(few.timed_turn().await?.1)?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let crowd = slowest(many.timed_turn().await?.1)?;
        let after = slowest(few.timed_turn().await?.1)?;
        turns.push((f64::midpoint(before, after), crowd));
        before = after;
    }
    let ratio = Spread::of(&turns, |(few, many)| many / few);
    println!("Cached signature beside so many accepted masters, {TURNS} turns");
    println!(
        "  p99 of {FEW}, ms                 {:.3}",
        Spread::of(&turns, |turn| turn.0)
    );
    println!(
        "  p99 of {MANY}, ms              {:.3}",
        Spread::of(&turns, |turn| turn.1)
    );
    println!("  ratio                         {ratio:.3}");
    verdicts.judge("ratio <= 1.3", ratio.median <= MOST_RATIO);
    Ok(())
}

/// A service with so many accepted masters, and the load of one of them.
async fn crowded(masters: usize) -> Result<(Site, Load)> {
    let rig = Rig::with_bits(2048)?;
    rig.without_counting()?;
    // The one that asks comes on top, through the front door.
    fill(&rig, masters.saturating_sub(1)).await?;
    let mut site = Site::around(rig).await?;
    let key = keys::some(1)?.remove(0);
    let mut master = site.master(0, &key).await?;
    let request = master.put(Algorithm::Sha1);
    master.connection.expect(&request, 201).await?;
    let request = get(&master.path(Algorithm::Sha1));
    let mut load = Load::open(site.api, site.process(), &master.tls, &request).await?;
    load.first().await?;
    Ok((site, load))
}

/// Accepts masters in the service's database before it starts. Nobody needs their private keys, so
/// their moduli are odd numbers.
async fn fill(rig: &Rig, masters: usize) -> Result<()> {
    let path = rig.site().database();
    let folder = path.parent().context("no folder")?;
    DirBuilder::new().mode(0o700).create(folder)?;
    let operators = fs::read(rig.site().pki().authority(Scope::Operators))?;
    let operators = Arc::new(OperatorsCa::from_pem(&operators)?);
    let store = Store::open(
        Arc::new(Sqlite::open(&path)?),
        Arc::clone(&operators),
        Arc::new(SystemClock),
        Some(rig.store()),
    )
    .await?;
    let operator = Arc::new(Operator::new(&rig.site().pki().admin("crowd")?)?);
    let numbers: Vec<usize> = (0..masters).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let tasks: Vec<_> = numbers
            .iter()
            .map(|number| {
                let (store, operators) = (store.clone(), Arc::clone(&operators));
                tokio::spawn(accept(store, operators, Arc::clone(&operator), *number))
            })
            .collect();
        for task in tasks {
            task.await??;
        }
    }
    store.close().await;
    Ok(())
}

async fn accept(
    store: Store,
    operators: Arc<OperatorsCa>,
    operator: Arc<Operator>,
    number: usize,
) -> Result<()> {
    let mut modulus = vec![0xa5; 256];
    for (byte, digit) in modulus.iter_mut().skip(1).zip(number.to_be_bytes()) {
        *byte = digit;
    }
    let key = PublicKey::from_components(&modulus, &[1, 0, 1])?;
    let master: signer::authorize::MasterId = format!("crowd-{number}").parse()?;
    let actor = Actor {
        identity: format!("mastersign:master:{master}"),
        certificate: None,
    };
    let presented = store.present(&master, &key, &actor).await?;
    ensure!(
        matches!(presented, Presented::Pending { .. }),
        "{presented:?}"
    );
    let signed = operator.sign(&Statement {
        verb: Verb::Accept,
        store: store.uuid(),
        master,
        key: Some(key.hash()),
        generation: 1,
        time: SystemClock.now(),
    })?;
    store.decide(operators.check(&signed)?).await?;
    Ok(())
}

/// Milliseconds that 99 of 100 answers stay below.
fn slowest(mut times: Vec<Duration>) -> Result<f64> {
    times.sort_unstable();
    let at = times.len().saturating_mul(99) / 100;
    let time = times.get(at).context("no answer")?;
    ensure!(fraction(times.len()) >= 100.0, "too few answers to tell");
    Ok(time.as_secs_f64() * 1e3)
}

const FEW: usize = 10;
const MANY: usize = 10_000;
/// What the store commits in one transaction.
const AT_ONCE: usize = 64;
const TURNS: usize = 31;
const MOST_RATIO: f64 = 1.3;
