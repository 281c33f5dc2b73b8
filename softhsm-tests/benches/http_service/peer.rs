//! Beside a service in Python: `FastAPI`, `uvicorn` and `PyKCS11`, over the same mTLS and on the
//! same kind of token.
//!
//! Nothing is judged here. The other one checks no statement and no proof, keeps no record and
//! makes nothing durable, so it has less to do.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use minion::verify::{Algorithm, PublicKey};
use rustls::ClientConfig;
use signer::pki::Scope;
use softhsm_tests::measure::{Spread, cpu_of, fraction};

use crate::cached::{Load, Turn};
use crate::cold::{Job, burst};
use crate::connection::{Connection, get, put, tls};
use crate::keys;
use crate::site::{Accepted, Site};

/// Cold and cached, in turns.
pub(crate) async fn measure() -> Result<()> {
    let mut site = Site::start(2048, 1).await?;
    let peer = Peer::start(&site)?;
    let keys = keys::some(COLD)?;
    let mut masters = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        masters.push(site.master(number, key).await?);
    }
    let client = tls(&site.papers("peer.example")?)?;
    let paths: Vec<String> = masters.iter().map(|master| path(&master.public)).collect();
    let mut others = Vec::new();
    for (master, path) in masters.iter().zip(&paths) {
        let document = serde_json::json!({ "public_key": master.public.canonical() }).to_string();
        others.push(Job {
            owner: Connection::open(peer.address, &client).await?,
            request: put(path, &document),
        });
    }
    let mut ours: Vec<_> = masters
        .into_iter()
        .map(|owner| Job {
            request: owner.put(Algorithm::Sha1),
            owner,
        })
        .collect();
    let (mut cold, mut first) = (Vec::new(), None);
    while !ours.is_empty() {
        let at = ours.len().saturating_sub(TURN);
        let before = both(&site)?;
        let our = burst(ours.split_off(at), 1, 201).await?;
        let our_cpu = both(&site)?.saturating_sub(before);
        let before = cpu_of(peer.child.id())?;
        let their = burst(others.split_off(at), 1, 201).await?;
        let their_cpu = cpu_of(peer.child.id())?.saturating_sub(before);
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / fraction(TURN);
        cold.push((
            Turn {
                rate: our.rate,
                cpu: each(our_cpu),
            },
            Turn {
                rate: their.rate,
                cpu: each(their_cpu),
            },
        ));
        first = our.done.into_iter().next();
    }
    println!("Beside FastAPI and PyKCS11, RSA-2048, one session");
    report("cold", &cold);
    let master = first.context("no master")?.owner;
    cached(&site, &peer, &client, &master).await
}

/// The same signature from both.
async fn cached(
    site: &Site,
    peer: &Peer,
    client: &Arc<ClientConfig>,
    master: &Accepted,
) -> Result<()> {
    let request = get(&master.path(Algorithm::Sha1));
    let process = site.process();
    let mut our = Load::open(site.api, process, &master.tls, &request).await?;
    let request = get(&path(&master.public));
    let process = peer.child.id();
    let mut their = Load::open(peer.address, process, client, &request).await?;
    ensure!(our.first().await? == their.first().await?, "two signatures");
    let mut turns = Vec::new();
    for _ in 0..CACHED_TURNS {
        turns.push((our.turn().await?, their.turn().await?));
    }
    report("cached", &turns);
    Ok(())
}

fn report(name: &str, turns: &[(Turn, Turn)]) {
    let rate = Spread::of(turns, |(our, their)| our.rate / their.rate);
    let cpu = Spread::of(turns, |(our, their)| our.cpu / their.cpu);
    println!(
        "  {name}, requests/s: service    {:.0}",
        Spread::of(turns, |turn| turn.0.rate)
    );
    println!(
        "  {name}, requests/s: Python     {:.0}",
        Spread::of(turns, |turn| turn.1.rate)
    );
    println!("  {name}, requests/s: ratio      {rate:.2}");
    println!(
        "  {name}, CPU ms each: service   {:.4}",
        Spread::of(turns, |turn| turn.0.cpu)
    );
    println!(
        "  {name}, CPU ms each: Python    {:.4}",
        Spread::of(turns, |turn| turn.1.cpu)
    );
    println!("  {name}, CPU: ratio             {cpu:.2}");
}

/// CPU time of the service and its worker: the other one signs in its only process.
fn both(site: &Site) -> Result<Duration> {
    Ok(cpu_of(site.process())?.saturating_add(cpu_of(site.worker()?)?))
}

fn path(key: &PublicKey) -> String {
    format!("/v1/signatures/{}", key.hash())
}

/// The running Python service.
struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    fn start(site: &Site) -> Result<Self> {
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/peer.sh");
        ensure!(Command::new(&setup).status()?.success(), "{setup:?} failed");
        let (token, pki) = (site.rig().site().token(), site.rig().site().pki());
        let server = pki.server();
        let mut child = Command::new(keys::cache()?.join("peer/bin/uvicorn"))
            .args(["app:app", "--port", "0", "--no-access-log"])
            .args(["--http", "httptools", "--loop", "uvloop"])
            .arg("--ssl-certfile")
            .arg(server.certificate)
            .arg("--ssl-keyfile")
            .arg(server.key)
            .arg("--ssl-ca-certs")
            .arg(pki.authority(Scope::Masters))
            .args(["--ssl-cert-reqs", "2"])
            .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(APP))
            .env("PEER_MODULE", token.module())
            .env("PEER_PIN", token.pin())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(token.environment())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().context("no output")?).lines();
        let mut peer = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        for line in lines {
            let line = line?;
            if let Some((_, rest)) = line.split_once("running on https://") {
                let address = rest.split_whitespace().next().context("no address")?;
                peer.address = address.parse()?;
                return Ok(peer);
            }
        }
        anyhow::bail!("the Python service does not start")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const APP: &str = "benches/http_service/peer";
const COLD: usize = 300;
const TURN: usize = 50;
const CACHED_TURNS: usize = 15;
