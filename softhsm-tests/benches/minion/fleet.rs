//! A thousand agents in one process, at one real master, which is killed.
//!
//! The agents are in a process of their own, this very program with other arguments, so that its
//! memory is theirs alone.

use std::collections::VecDeque;
use std::io::{BufRead, Write, stdin, stdout};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use minion::agent::{Agent, Identity, MasterState, Memory, Setup, SigningKey, Status};
use minion::config::Master as Address;
use minion::failover::{MasterType, Settings};
use minion::verify::{Algorithm, PublicKey};
use minion::wire::envelope::Algorithms;
use minion::wire::private_key::{Encryption, PrivateKey};
use openssl::rsa::Rsa;
use softhsm_tests::measure::Spread;
use softhsm_tests::process::{Log, Process};
use softhsm_tests::salt::{Stage, Version};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::figure::{Bound, Figures};
use crate::usage::resident_of;

/// Starts this program as the fleet.
pub(crate) const MODE: &str = "--fleet";

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    println!("{FLEET} agents in one process lose their master, sign-ins spread over {SPREAD:?}");
    let stage = Stage::of(Version::V3008)?;
    let mut trio = stage.trio()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([MODE, &stage.trusted()?]);
    // One to lose, and one to survive.
    let masters = trio.masters.iter().take(2);
    command.args(masters.map(|master| master.address().to_string()));
    let (fleet, mut orders) = Process::interactive(&mut match stage.namespace() {
        Some(namespace) => namespace.inside(&command),
        None => command,
    })?;
    for many in (1..=usize::try_from(FLEET)?).filter(|many| many.is_multiple_of(STEP)) {
        fleet.log().wait_for(&format!("arrived {many}"))?;
    }
    let line = fleet.log().wait_for("connected ")?;
    let mut numbers = line.split_whitespace().skip(1).map(str::parse::<f64>);
    let mut number = || {
        numbers
            .next()
            .context("a number is missing")?
            .context("no number")
    };
    let (before, after) = (number()?, number()?);
    let each = (after - before) / f64::from(FLEET);
    let memory = "memory of one connected agent";
    figures.judge(memory, one(each), "KiB", Bound::AtMost(64.0));

    let [first, second, _] = &mut trio.masters;
    let events = second.console()?.events();
    let mark = events.len();
    first.kill();
    let outcome = fleet.log().wait_for("moved ")?;
    let times = sign_ins(events, mark)?;
    let peak = f64::from(peak(&times)?);
    let what = "sign-ins a second at the survivor, peak";
    figures.judge(what, one(peak), "/s", Bound::AtMost(PEAK));
    let took = times.last().context("nobody came")? - times.first().context("nobody came")?;
    figures.judge(
        "from the first sign-in to the last",
        one(took),
        "s",
        Bound::None,
    );
    let failed: f64 = outcome.trim_start_matches("moved ").parse()?;
    let failures = "attempts that failed at the survivor";
    figures.judge(failures, one(failed), "", Bound::AtMost(0.0));
    let again = f64::from(u32::try_from(times.len())?) - f64::from(FLEET);
    figures.judge(
        "sign-ins beyond one each",
        one(again),
        "",
        Bound::AtMost(0.0),
    );
    writeln!(orders, "end")?;
    Ok(())
}

/// A figure that is measured once.
fn one(number: f64) -> Spread {
    [number].into_iter().collect()
}

/// When each sign-in of the fleet was, in seconds of the day, as the master stamped it.
fn sign_ins(events: &Log, mark: usize) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for line in events.text().lines().skip(mark) {
        if !line.starts_with("event salt/auth ") || !line.contains("\"id\": \"fleet-") {
            continue;
        }
        let stamp = line.split("\"_stamp\": \"").nth(1).context("no stamp")?;
        let clock = stamp.split('T').nth(1).and_then(|clock| clock.get(..15));
        let mut parts = clock.context("no time in the stamp")?.split(':');
        let mut part = || {
            parts
                .next()
                .context("no time")?
                .parse::<f64>()
                .context("no time")
        };
        times.push(part()? * 3600.0 + part()? * 60.0 + part()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The most that lie within any second.
fn peak(times: &[f64]) -> Result<u32> {
    let (mut window, mut most) = (VecDeque::new(), 0);
    for time in times {
        window.push_back(*time);
        while window.front().is_some_and(|first| time - first >= 1.0) {
            window.pop_front();
        }
        most = most.max(window.len());
    }
    Ok(u32::try_from(most)?)
}

/// The fleet itself: the text of `master_sign.pub`, then the masters.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (trusted, masters) = arguments.split_first().context("no arguments")?;
    let trusted = PublicKey::decode(trusted)?;
    let masters: Vec<Address> = masters
        .iter()
        .map(|host| Address {
            name: host.clone(),
            host: host.clone(),
            port: REQUEST_PORT,
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(fleet(&trusted, &masters))
}

async fn fleet(trusted: &PublicKey, masters: &[Address]) -> Result<()> {
    let key = Rsa::generate(2048)?.private_key_to_pem()?;
    let survivor = masters.get(1).context("no second master")?.name.clone();
    let before = resident_of("self")?;
    let stop = CancellationToken::new();
    // As many as a master answers within a twentieth of a second.
    let door = Arc::new(Semaphore::new(20));
    let (mut agents, mut arrivals) = (JoinSet::new(), JoinSet::<Result<(_, u32)>>::new());
    let mut connected = Vec::new();
    for number in 0..FLEET {
        let agent = agent(&format!("fleet-{number}"), trusted, &key, masters)?;
        let status = agent.status();
        let turn = Arc::clone(&door).acquire_owned().await?;
        while let Some(status) = arrivals.try_join_next() {
            arrived(&mut connected, status??.0)?;
        }
        agents.spawn(agent.run(stop.clone()));
        let first = masters.first().context("no master")?.name.clone();
        arrivals.spawn(async move {
            let status = reach(status, &first).await;
            drop(turn);
            status
        });
    }
    while let Some(status) = arrivals.join_next().await {
        arrived(&mut connected, status??.0)?;
    }
    say(&format!("connected {before} {}", resident_of("self")?))?;
    let mut moves = JoinSet::new();
    for status in connected {
        let survivor = survivor.clone();
        moves.spawn(async move { reach(status, &survivor).await });
    }
    let mut failed = 0_u32;
    while let Some(moved) = moves.join_next().await {
        failed = failed.saturating_add(moved??.1);
    }
    say(&format!("moved {failed}"))?;
    // Stays until it was read; the order is its only one.
    let mut order = String::new();
    stdin().lock().read_line(&mut order)?;
    stop.cancel();
    Ok(())
}

/// Keeps an agent that is connected, and lets the other process see that it goes on.
fn arrived(
    connected: &mut Vec<watch::Receiver<Status>>,
    status: watch::Receiver<Status>,
) -> Result<()> {
    connected.push(status);
    if connected.len().is_multiple_of(STEP) {
        say(&format!("arrived {}", connected.len()))?;
    }
    Ok(())
}

fn agent(id: &str, trusted: &PublicKey, key: &[u8], masters: &[Address]) -> Result<Agent> {
    let identity = Identity::new(
        id.parse()?,
        PrivateKey::from_pem(key)?,
        PathBuf::from("minion.pem"),
        ALGORITHMS,
        None,
    )?;
    let store = Memory::new(vec![SigningKey {
        name: "master_sign.pub".to_owned(),
        key: trusted.clone(),
    }]);
    let failover = Settings {
        master_type: MasterType::Failover,
        loss_spread: SPREAD,
        // All of them are to be at one master, also if it is slow while they come.
        stagger: Settings::default().auth_timeout,
        ..Settings::default()
    };
    let setup = Setup::new(
        Arc::new(identity),
        Arc::new(store),
        failover,
        masters.to_vec(),
    );
    Ok(Agent::new(setup)?)
}

/// Waits until the agent works with this master, and counts how often it failed there before.
async fn reach(
    mut status: watch::Receiver<Status>,
    name: &str,
) -> Result<(watch::Receiver<Status>, u32)> {
    let mut failures = 0_u32;
    loop {
        let state = {
            let now = status.borrow_and_update();
            let master = now.masters.iter().find(|master| master.name == name);
            master.context("no such master")?.state
        };
        match state {
            MasterState::Connected => return Ok((status, failures)),
            MasterState::Failed => failures = failures.saturating_add(1),
            MasterState::Asking
            | MasterState::Lost
            | MasterState::Pending
            | MasterState::Unused => {}
        }
        status.changed().await?;
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

const FLEET: u32 = 1000;

/// How many more are connected at each line of progress.
const STEP: usize = 50;

/// A 2-core master answers 400 sign-ins a second; this asks for half of that.
const SPREAD: Duration = Duration::from_secs(5);

/// The bound that this spread is configured for: 200 a second, and half as many again for chance.
const PEAK: f64 = 300.0;

const ALGORITHMS: Algorithms = Algorithms {
    signing: Algorithm::Sha1,
    encryption: Encryption::Sha1,
};

const REQUEST_PORT: NonZeroU16 = NonZeroU16::new(4506).unwrap();
