//! A signature that is there already, over connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use minion::verify::Algorithm;
use rustls::ClientConfig;
use softhsm_tests::measure::{Spread, cpu_of, fraction};

use crate::Verdicts;
use crate::connection::{Connection, get};
use crate::hello::Hello;
use crate::keys;
use crate::site::Site;

/// Against the same stack with a handler that does nothing.
pub(crate) async fn measure(verdicts: &mut Verdicts) -> Result<()> {
    let mut site = Site::start(2048, 1).await?;
    let key = keys::some(1)?.remove(0);
    let mut master = site.master(0, &key).await?;
    let request = master.put(Algorithm::Sha1);
    master.connection.expect(&request, 201).await?;
    let request = get(&master.path(Algorithm::Sha1));
    let body = master.connection.expect(&request, 200).await?;
    let hello = Hello::start(&site.rig().site().config(), body.len())?;
    let mut service = Load::open(site.api, site.process(), &master.tls, &request).await?;
    let request = get("/hello");
    let mut plain = Load::open(hello.address(), hello.process(), &master.tls, &request).await?;
    for load in [&mut service, &mut plain] {
        ensure!(
            load.first().await?.len() == body.len(),
            "bodies of two lengths"
        );
    }

    plain.turn().await?;
    service.turn().await?;
    let mut before = plain.turn().await?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let hit = service.turn().await?;
        let after = plain.turn().await?;
        turns.push((before.mean(after), hit));
        before = after;
    }
    let ratio = Spread::of(&turns, |(plain, hit)| hit.rate / plain.rate);
    let cpu = Spread::of(&turns, |(plain, hit)| hit.cpu / plain.cpu);
    println!("Cached signature over keep-alive mTLS, {CONNECTIONS} connections, {TURNS} turns");
    println!(
        "  bare axum, requests/s         {:.0}",
        Spread::of(&turns, |turn| turn.0.rate)
    );
    println!(
        "  service, requests/s           {:.0}",
        Spread::of(&turns, |turn| turn.1.rate)
    );
    println!("  service / bare axum           {ratio:.3}");
    println!(
        "  CPU of bare axum, ms each     {:.4}",
        Spread::of(&turns, |turn| turn.0.cpu)
    );
    println!(
        "  CPU of the service, ms each   {:.4}",
        Spread::of(&turns, |turn| turn.1.cpu)
    );
    println!("  CPU service / bare axum       {cpu:.3}");
    verdicts.judge("ratio >= 0.85", ratio.median >= LEAST_RATIO);
    Ok(())
}

/// Open connections to one server, over which one request is repeated.
pub(crate) struct Load {
    connections: Vec<Connection>,
    request: Vec<u8>,
    process: u32,
}

/// What one turn showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Milliseconds of the server for each request.
    pub(crate) cpu: f64,
}

impl Turn {
    pub(crate) fn mean(self, other: Self) -> Self {
        Self {
            rate: f64::midpoint(self.rate, other.rate),
            cpu: f64::midpoint(self.cpu, other.cpu),
        }
    }
}

impl Load {
    pub(crate) async fn open(
        address: SocketAddr,
        process: u32,
        tls: &Arc<ClientConfig>,
        request: &[u8],
    ) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(address, tls).await?);
        }
        Ok(Self {
            connections,
            request: request.to_vec(),
            process,
        })
    }

    /// One answer, to see that it is one.
    pub(crate) async fn first(&mut self) -> Result<Vec<u8>> {
        match self.connections.first_mut() {
            Some(connection) => connection.expect(&self.request, 200).await,
            None => anyhow::bail!("no connection"),
        }
    }

    /// Repeats the request on all connections for a while.
    pub(crate) async fn turn(&mut self) -> Result<Turn> {
        let (turn, _) = self.timed_turn().await?;
        Ok(turn)
    }

    /// The same, with the time that each answer took.
    pub(crate) async fn timed_turn(&mut self) -> Result<(Turn, Vec<Duration>)> {
        let before = cpu_of(self.process)?;
        let start = Instant::now();
        let tasks: Vec<_> = std::mem::take(&mut self.connections)
            .into_iter()
            .map(|mut connection| {
                let request = self.request.clone();
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    // A client must not take longer to read one server's answer than another's.
                    let body = connection.expect(&request, 200).await?;
                    let length = connection.length();
                    loop {
                        let begin = Instant::now();
                        if begin.duration_since(start) >= TURN {
                            return Ok::<_, anyhow::Error>((connection, times));
                        }
                        connection.again(&request, length, &body).await?;
                        times.push(begin.elapsed());
                    }
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            let (connection, mut own) = task.await??;
            self.connections.push(connection);
            times.append(&mut own);
        }
        let wall = start.elapsed().as_secs_f64();
        let spent = cpu_of(self.process)?.saturating_sub(before);
        let count = fraction(times.len());
        let turn = Turn {
            rate: count / wall,
            cpu: spent.as_secs_f64() * 1e3 / count,
        };
        Ok((turn, times))
    }
}

const CONNECTIONS: usize = 32;
const TURNS: usize = 41;
const TURN: Duration = Duration::from_millis(200);
const LEAST_RATIO: f64 = 0.85;
