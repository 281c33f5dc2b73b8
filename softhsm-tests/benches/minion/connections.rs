//! A thousand connections of each kind in one process, idle at a real master.
//!
//! They are in a process of their own, this very program with other arguments, so that its memory
//! and its descriptors are theirs alone.

use std::io::{BufRead, Write, stdin, stdout};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use minion::net::{Connect, Keepalive, Request, Subscription};
use minion::zmtp::Rhythm;
use softhsm_tests::measure::Spread;
use softhsm_tests::process::Process;
use softhsm_tests::salt::{Stage, Version};

use crate::figure::{Bound, Figures};
use crate::usage::resident_of;

/// Starts this program as the one that connects.
pub(crate) const MODE: &str = "--connections";

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    println!("{EACH} connections of each of two kinds in one process, idle");
    let stage = Stage::of(Version::V3008)?;
    let trio = stage.trio()?;
    let master = trio.masters.first().context("no master")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([MODE, &master.address().to_string()]);
    let (process, mut orders) = Process::interactive(&mut match stage.namespace() {
        Some(namespace) => namespace.inside(&command),
        None => command,
    })?;
    let line = process.log().wait_for("connected ")?;
    let numbers = line.split_whitespace().skip(1).map(str::parse::<f64>);
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let &[memory, descriptors] = numbers.as_slice() else {
        anyhow::bail!("not two numbers: {line}");
    };
    let each = |total: f64| Spread::from_iter([total / f64::from(2 * EACH)]);
    let bound = Bound::AtMost(4.0);
    figures.judge("memory of one connection", each(memory), "KiB", bound);
    let bound = Bound::AtMost(1.0);
    figures.judge(
        "descriptors of one connection",
        each(descriptors),
        "",
        bound,
    );
    writeln!(orders, "end")?;
    Ok(())
}

/// Connects, tells what that took, and stays until it is told to go.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let master: IpAddr = arguments.first().context("no master")?.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(connect(master))
}

async fn connect(master: IpAddr) -> Result<()> {
    // One of each before, so that what they share is there.
    let _first = (request(master).await?, subscription(master).await?);
    let (memory, descriptors) = (resident_of("self")?, descriptors()?);
    let mut connections = Vec::new();
    for _ in 0..EACH {
        connections.push((request(master).await?, subscription(master).await?));
    }
    let memory = resident_of("self")? - memory;
    let descriptors = self::descriptors()? - descriptors;
    let mut out = stdout().lock();
    writeln!(out, "connected {memory} {descriptors}")?;
    out.flush()?;
    stdin().lock().read_line(&mut String::new())?;
    drop(connections);
    Ok(())
}

async fn request(master: IpAddr) -> Result<Request> {
    Ok(Request::connect(&options(master, 4506)).await?)
}

async fn subscription(master: IpAddr) -> Result<Subscription> {
    Ok(Subscription::connect(&options(master, 4505), None, &[b""]).await?)
}

fn options(master: IpAddr, port: u16) -> Connect {
    Connect {
        target: SocketAddr::new(master, port),
        source: None,
        keepalive: Keepalive::default(),
        within: Duration::from_secs(10),
        rhythm: Rhythm {
            interval: Duration::from_secs(600),
            patience: Duration::from_secs(600),
        },
    }
}

fn descriptors() -> Result<f64> {
    let count = std::fs::read_dir("/proc/self/fd")?.count();
    Ok(f64::from(u32::try_from(count)?))
}

/// Of each kind.
const EACH: u32 = 1000;
