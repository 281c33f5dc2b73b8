//! Ours and a stock minion of the same Salt, at the same masters.

use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use minion::verify::Algorithm;
use serde_json::json;
use softhsm_tests::measure::Spread;
use softhsm_tests::namespace::{Fault, Namespace, inside};
use softhsm_tests::process::{Log, Process};
use softhsm_tests::salt::{
    Console, Master, Minion, MinionConfig, Ours, OursConfig, RunningOurs, SignedBy, Stage, Trio,
    Version,
};

use crate::figure::{Bound, Figures};
use crate::usage::{cpu, resident};

pub(crate) fn measure(figures: &mut Figures, version: Version) -> Result<()> {
    println!("Beside a stock minion {version}");
    let stage = Stage::of(version)?;
    let mut trio = stage.trio()?;
    let masters: Vec<&Master> = trio.masters.iter().collect();
    let pair = Pair {
        stage: &stage,
        version,
        trusted: stage.trusted()?,
        masters: masters
            .iter()
            .map(|master| master.address().to_string())
            .collect(),
    };
    let (mut ours, mut stock) = start_up(figures, &pair)?;
    memory(figures, &ours, &stock)?;
    for loss in [Loss::Kill, Loss::Refusal] {
        ours = losses(figures, loss, &pair, &mut trio, (ours, &mut stock))?;
    }
    drop((ours, stock, trio));
    reauthentication(figures, pair.stage, version)
}

/// How a minion loses its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The master is killed.
    Kill,
    /// Its connections are reset, and its ports refuse new ones.
    Refusal,
}

impl Loss {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Refusal => "refused",
        }
    }

    fn inflict(self, master: &mut Master, network: Option<&Namespace>) -> Result<()> {
        match self {
            Self::Kill => {
                master.send_kill();
                Ok(())
            }
            Self::Refusal => {
                let network = network.context("this part needs root")?;
                network.inject(Fault::Refuse, master.address())?;
                network.forget_connections_of(master.address())
            }
        }
    }

    /// Lets the master come back.
    fn undo(self, master: &mut Master, network: Option<&Namespace>) -> Result<()> {
        match self {
            Self::Kill => master.restart(),
            Self::Refusal => {
                // Whoever moves at once never asks it again, so there need be no refusal: what
                // shows that it was lost is that the minion left it.
                network.context("this part needs root")?.lift()?;
                // About what the start of a master takes after a kill: ours leaves one that does
                // not last alone for a while, and there are only three.
                pause_until(Instant::now() + PAUSE);
                Ok(())
            }
        }
    }
}

/// Each master in turn is lost, and both move on.
///
/// First ours and then the stock one, each while the other is stopped: at the same moment they would
/// wait for each other's sign-in, and for the processor.
fn losses(
    figures: &mut Figures,
    loss: Loss,
    pair: &Pair<'_>,
    trio: &mut Trio,
    (ours, stock): (RunningOurs, &mut Minion),
) -> Result<RunningOurs> {
    let network = pair.stage.namespace();
    stock.process().stop()?;
    // Begun anew, because its master may have gone while it was stopped.
    let ours = ours.end().start(network)?;
    wait(ours.log(), 0, Instant::now())?;
    let own = moves(trio, loss, network, (ours.log(), ours.process()))?;
    ours.process().stop()?;
    stock.restart()?;
    wait(stock.log(), 0, Instant::now())?;
    let theirs = moves(trio, loss, network, (stock.log(), stock.process()))?;
    let pairs: Vec<_> = own.into_iter().zip(theirs).collect();
    let spread = |of: fn(&(Move, Move)) -> f64| Spread::from_iter(pairs.iter().map(of));
    let name = |what: &str| format!("{} to ready on the next: {what}", loss.name());
    figures.judge(
        &name("ours"),
        spread(|(own, _)| own.seconds),
        "s",
        Bound::None,
    );
    figures.judge(
        &name("stock"),
        spread(|(_, theirs)| theirs.seconds),
        "s",
        Bound::None,
    );
    // 3006.30 has no socket monitor and finds out at some moment of its interval.
    let bound = match pair.version {
        Version::V3008 => Bound::AtLeast(4.0),
        Version::V3006 | Version::V3007 => Bound::None,
    };
    let faster = spread(|(own, theirs)| theirs.seconds / own.seconds);
    figures.judge(&name("times faster"), faster, "", bound);
    if loss == Loss::Refusal {
        // The handshake is the same as after a kill.
        return Ok(ours);
    }

    let name = |what: &str| format!("CPU of one handshake, with the next master: {what}");
    figures.judge(&name("ours"), spread(|(own, _)| own.cpu), "ms", Bound::None);
    figures.judge(
        &name("stock"),
        spread(|(_, theirs)| theirs.cpu),
        "ms",
        Bound::None,
    );
    let less = spread(|(own, theirs)| theirs.cpu / own.cpu);
    figures.judge(&name("times less"), less, "", Bound::AtLeast(10.0));
    Ok(ours)
}

/// From the loss of a master until the minion is ready on the next: connections, the handshake with
/// its verification, subscription.
#[derive(Clone, Copy, Debug)]
struct Move {
    seconds: f64,
    /// Milliseconds.
    cpu: f64,
}

/// Takes the master away that the minion is on, and lets it come back.
fn moves(
    trio: &mut Trio,
    loss: Loss,
    network: Option<&Namespace>,
    (log, process): (&Log, &Process),
) -> Result<Vec<Move>> {
    let mut moves = Vec::new();
    for _ in 0..LOSSES {
        settle(trio)?;
        let current = current(process, network)?;
        let mut masters = trio.masters.iter_mut();
        let master = masters.find(|master| master.address().to_string() == current);
        let master = master.context("the minion is on no master of ours")?;
        let (mark, before) = (log.len(), cpu(process)?);
        let start = Instant::now();
        loss.inflict(master, network)
            .with_context(|| format!("the minion was to be on {current}:\n{}", log.text()))?;
        let seconds = wait(log, mark, start)?;
        let spent = cpu(process)?.saturating_sub(before);
        moves.push(Move {
            seconds,
            cpu: spent.as_secs_f64() * 1e3,
        });
        loss.undo(master, network)?;
    }
    Ok(moves)
}

/// Waits until the masters do nothing: one that was just started is still busy when it first
/// answers, and would keep the processors from the minion and from its next master.
fn settle(trio: &Trio) -> Result<()> {
    let spent = || {
        trio.masters
            .iter()
            .map(|master| cpu(master.process()))
            .sum::<Result<Duration>>()
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let before = spent()?;
        pause_until(Instant::now() + LOOK);
        if spent()?.saturating_sub(before) < LOOK / 50 {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the masters never come to rest");
    }
}

/// The address of the master that a minion is subscribed to.
///
/// Its log would not do: of two masters that ours asks a moment apart, the one that it has verified
/// last may be the one that it does not take.
fn current(process: &Process, network: Option<&Namespace>) -> Result<String> {
    let mut command = Command::new("ss");
    command.args(["-Hntp", "state", "established", "dport = :4505"]);
    let output = inside(network, command).output()?;
    ensure!(output.status.success(), "ss: {output:?}");
    let table = String::from_utf8(output.stdout)?;
    let ids = process.ids()?;
    let mut peers = table.lines().filter_map(|line| {
        let mut columns = line.split_whitespace().skip(3);
        let (peer, users) = (columns.next()?, columns.next()?);
        let (address, _) = peer.rsplit_once(':')?;
        let own = ids.iter().any(|id| users.contains(&format!("pid={id},")));
        own.then(|| address.to_owned())
    });
    match (peers.next(), peers.next()) {
        (Some(one), None) => Ok(one),
        (first, second) => bail!("subscribed to {first:?} and {second:?}:\n{table}"),
    }
}

struct Pair<'a> {
    stage: &'a Stage,
    version: Version,
    trusted: String,
    masters: Vec<String>,
}

impl Pair<'_> {
    fn ours(&self, id: &str) -> Result<Ours> {
        Ours::create(OursConfig {
            id,
            masters: &self.masters,
            trusted: &self.trusted,
            algorithm: Algorithm::Sha1,
            options: &[("log_level", "info"), ("master_alive_interval", INTERVAL)],
        })
    }

    fn start_stock(&self, id: &str, alive: &str) -> Result<Minion> {
        Minion::start(MinionConfig {
            version: self.version,
            id,
            masters: &self.masters,
            trusted: &self.trusted,
            algorithm: Algorithm::Sha1,
            namespace: self.stage.namespace(),
            log_level: "info",
            alive_interval: alive,
        })
    }
}

/// From the start of the process to readiness, with a key that is there and accepted.
fn start_up(figures: &mut Figures, pair: &Pair<'_>) -> Result<(RunningOurs, Minion)> {
    let mut ours = pair.ours(&format!("ours-{}", pair.version))?;
    let mut running = ours.start(pair.stage.namespace())?;
    wait(running.log(), 0, Instant::now())?;
    let mut stock = pair.start_stock(&format!("stock-{}", pair.version), INTERVAL)?;
    wait(stock.log(), 0, Instant::now())?;
    let (mut own, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        ours = running.end();
        let start = Instant::now();
        running = ours.start(pair.stage.namespace())?;
        let quick = wait(running.log(), 0, start)?;
        let start = Instant::now();
        stock.restart()?;
        let slow = wait(stock.log(), 0, start)?;
        own.push(quick);
        theirs.push(slow);
        ratios.push(slow / quick);
    }
    figures.judge(
        "start to ready: ours",
        Spread::from_iter(own),
        "s",
        Bound::None,
    );
    figures.judge(
        "start to ready: stock",
        Spread::from_iter(theirs),
        "s",
        Bound::None,
    );
    let bound = Bound::AtLeast(10.0);
    figures.judge(
        "start to ready: times faster",
        Spread::from_iter(ratios),
        "",
        bound,
    );
    Ok((running, stock))
}

fn memory(figures: &mut Figures, ours: &RunningOurs, stock: &Minion) -> Result<()> {
    let (own, count) = resident(ours.process())?;
    ensure!(count == 1, "our minion is {count} processes");
    let (theirs, _) = resident(stock.process())?;
    figures.judge(
        "memory, idle: ours",
        Spread::from_iter([own / 1024.0]),
        "MiB",
        Bound::None,
    );
    figures.judge(
        "memory, idle: stock",
        Spread::from_iter([theirs / 1024.0]),
        "MiB",
        Bound::None,
    );
    let ratio = Spread::from_iter([theirs / own]);
    figures.judge("memory, idle: times less", ratio, "", Bound::AtLeast(10.0));
    Ok(())
}

/// The same master takes a new AES key, and both minions have to sign in again at the next
/// publication: what that costs each, less what it costs to be idle for as long. Most of it is two
/// RSA operations with the minion's key, which both make, so there is no tenth to promise.
fn reauthentication(figures: &mut Figures, stage: &Stage, version: Version) -> Result<()> {
    let restless = stage.restless(SignedBy::Master)?;
    let console = restless.master.console()?;
    let pair = Pair {
        stage,
        version,
        trusted: restless.trusted.clone(),
        masters: vec![restless.master.address().to_string()],
    };
    let ours = pair.ours("ours-handshake")?;
    ours.seed(console)?;
    let ours = ours.start(stage.namespace())?;
    wait(ours.log(), 0, Instant::now())?;
    // An alive check is a fork of the whole process and would be counted.
    let stock = pair.start_stock("stock-handshake", "3600")?;
    let new = format!("event salt/auth {{\"result\": true, \"act\": \"pend\", \"id\": \"{STOCK}\"");
    console.events().wait_for(&new)?;
    console.accept(STOCK)?;
    wait(stock.log(), 0, Instant::now())?;
    console.key("gen_accept", &json!(["nobody"]))?;

    let (mut own, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=HANDSHAKES {
        let idle = window(&ours, &stock, || Ok(()))?;
        let signed_in = ours.log().count(SIGNED_IN);
        let busy = window(&ours, &stock, || rotate(console))?;
        ensure!(
            ours.log().count(SIGNED_IN) == signed_in + 1,
            "not one sign-in: {}",
            ours.log().text()
        );
        let (quick, slow) = (busy.0 - idle.0, busy.1 - idle.1);
        if round > 0 {
            own.push(quick * 1e3);
            theirs.push(slow * 1e3);
            ratios.push(slow / quick);
        }
    }
    figures.judge(
        "CPU of signing in again: ours",
        Spread::from_iter(own),
        "ms",
        Bound::None,
    );
    figures.judge(
        "CPU of signing in again: stock",
        Spread::from_iter(theirs),
        "ms",
        Bound::None,
    );
    figures.judge(
        "CPU of signing in again: times less",
        Spread::from_iter(ratios),
        "",
        Bound::None,
    );
    Ok(())
}

/// Lets the master rotate its key and publish something, and waits until both minions have signed
/// in again.
fn rotate(console: &Console) -> Result<()> {
    let mark = console.events().len();
    console.key("gen_accept", &json!(["goner"]))?;
    console.key("delete", &json!(["goner"]))?;
    let events = console.events();
    events.wait_for_after(mark, r#"event key {"rotate_aes_key": true"#)?;
    console.publish(("glob", json!("nobody")), "test.ping", &[])?;
    for id in ["ours-handshake", STOCK] {
        let line = format!("\"act\": \"accept\", \"id\": \"{id}\"");
        events.wait_for_after(mark, &line)?;
    }
    Ok(())
}

/// CPU seconds of both in a window of fixed length, in which something may happen.
fn window(
    ours: &RunningOurs,
    stock: &Minion,
    act: impl FnOnce() -> Result<()>,
) -> Result<(f64, f64)> {
    let end = Instant::now() + WINDOW;
    let spent = |process: &Process, since: Duration| {
        Ok::<_, anyhow::Error>(cpu(process)?.saturating_sub(since).as_secs_f64())
    };
    let before = (cpu(ours.process())?, cpu(stock.process())?);
    act()?;
    ensure!(
        Instant::now() < end,
        "the window is too short for this machine"
    );
    pause_until(end);
    Ok((
        spent(ours.process(), before.0)?,
        spent(stock.process(), before.1)?,
    ))
}

/// Nothing tells when a minion has done all that a sign-in entails.
fn pause_until(end: Instant) {
    let (_nobody, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(end.saturating_duration_since(Instant::now()));
}

fn wait(log: &Log, from: usize, start: Instant) -> Result<f64> {
    log.wait_for_after(from, "Minion is ready to receive requests!")?;
    Ok(start.elapsed().as_secs_f64())
}

/// `master_alive_interval`, the same for both.
const INTERVAL: &str = "5";
const STARTS: usize = 7;
/// Each kill is followed by the start of a master.
const LOSSES: usize = 9;
const PAUSE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);
const HANDSHAKES: usize = 7;
const WINDOW: Duration = Duration::from_secs(4);
const STOCK: &str = "stock-handshake";
const SIGNED_IN: &str = "Authentication with master successful!";
