//! New connections, each with both certificates checked and one answer.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use minion::verify::Algorithm;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use signer::clock::{Clock, SystemClock};
use signer::config::Config;
use signer::tls::ServerTls;
use softhsm_tests::measure::{Spread, fraction};

use crate::Verdicts;
use crate::connection::{Connection, get};
use crate::keys;
use crate::site::Site;

/// Against the same handshakes by rustls in memory, on as many threads as there are cores.
///
/// The service's connections carry a request each, so that both sides have seen the handshake's
/// end; that and the sockets are on top of what rustls does.
pub(crate) async fn measure(verdicts: &mut Verdicts) -> Result<()> {
    let mut site = Site::start(2048, 1).await?;
    let key = keys::some(1)?.remove(0);
    let mut master = site.master(0, &key).await?;
    let request = master.put(Algorithm::Sha1);
    master.connection.expect(&request, 201).await?;
    let request = get(&master.path(Algorithm::Sha1));
    let files = Config::load(&site.rig().site().config())?.tls;
    let server = ServerTls::load(&files, SystemClock.now())?.config;
    let cores = thread::available_parallelism()?.get();
    let mut turns = Vec::new();
    let mut before = in_memory(&server, &master.tls, cores)?;
    for _ in 0..TURNS {
        let service = connections(&site, &master.tls, &request, AT_ONCE * cores).await?;
        let after = in_memory(&server, &master.tls, cores)?;
        turns.push((f64::midpoint(before, after), service));
        before = after;
    }
    let ratio = Spread::of(&turns, |(memory, service)| service / memory);
    println!("New mTLS connections with one answer each, {cores} cores, {TURNS} turns");
    println!(
        "  rustls in memory, each second {:.0}",
        Spread::of(&turns, |turn| turn.0)
    );
    println!(
        "  service, each second          {:.0}",
        Spread::of(&turns, |turn| turn.1)
    );
    println!("  service / rustls in memory    {ratio:.3}");
    verdicts.judge("ratio >= 0.75", ratio.median >= LEAST_RATIO);
    Ok(())
}

async fn connections(
    site: &Site,
    tls: &Arc<ClientConfig>,
    request: &[u8],
    at_once: usize,
) -> Result<f64> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (api, tls, request) = (site.api, Arc::clone(tls), request.to_vec());
            tokio::spawn(async move {
                let mut count = 0;
                while start.elapsed() < TURN {
                    Connection::open(api, &tls)
                        .await?
                        .expect(&request, 200)
                        .await?;
                    count += 1;
                }
                Ok::<usize, anyhow::Error>(count)
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    Ok(fraction(count) / start.elapsed().as_secs_f64())
}

fn in_memory(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, cores: usize) -> Result<f64> {
    let count = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    while start.elapsed() < TURN {
                        handshake(server, client)?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), anyhow::Error>(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    Ok(fraction(count.into_inner()) / start.elapsed().as_secs_f64())
}

fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<()> {
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes)?;
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread)?;
            server.process_new_packets()?;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes)?;
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread)?;
            client.process_new_packets()?;
        }
    }
    // One byte each way, to see that both have the same keys.
    client.writer().write_all(b"x")?;
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes)?;
    server.read_tls(&mut bytes.as_slice())?;
    server.process_new_packets()?;
    let mut byte = [0];
    server.reader().read_exact(&mut byte)?;
    ensure!(byte == *b"x", "the handshake went wrong");
    Ok(())
}

/// Connections for each core: with a quarter of them the cores still wait for packets.
const AT_ONCE: usize = 32;
const TURNS: usize = 31;
const TURN: Duration = Duration::from_millis(250);
const LEAST_RATIO: f64 = 0.75;
