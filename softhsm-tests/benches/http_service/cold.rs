//! Signatures that were never made before, from the request to the durable answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use minion::verify::Algorithm;
use softhsm_tests::measure::{Spread, cpu_of, fraction};

use crate::Verdicts;
use crate::connection::Connection;
use crate::keys;
use crate::raw::Loop;
use crate::site::{Accepted, Site};

/// Against a loop of `C_SignInit` and `C_Sign` on the same token, with one session less than there
/// are cores and with one for each.
pub(crate) async fn measure(bits: u32, verdicts: &mut Verdicts) -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    for sessions in [cores.saturating_sub(1).max(1), cores] {
        let turns = turns(bits, sessions).await?;
        report(bits, sessions, cores, &turns, verdicts);
    }
    Ok(())
}

/// One turn of the service, and what the loop did around it.
struct Turn {
    /// Signatures a second.
    service: f64,
    plain: f64,
    /// Milliseconds of CPU time each.
    service_cpu: f64,
    worker_cpu: f64,
    plain_cpu: f64,
}

async fn turns(bits: u32, sessions: usize) -> Result<Vec<Turn>> {
    let mut site = Site::start(bits, sessions).await?;
    let mut masters = Vec::new();
    for (number, key) in keys::some(WARM_UP + MASTERS)?.iter().enumerate() {
        masters.push(site.master(number, key).await?);
    }
    let texts: Vec<_> = masters
        .iter()
        .take(40)
        .map(|master| Arc::new(master.public.clone()))
        .collect();
    let mut plain = Loop::start(site.rig().site().token(), sessions, &texts)?;
    let (service, worker) = (site.process(), site.worker()?);
    let warm_up = masters.split_off(MASTERS);
    burst(jobs(warm_up, Algorithm::Sha1), sessions, 201).await?;

    let mut turns = Vec::new();
    let mut before = loop_turn(&mut plain)?;
    for algorithm in Algorithm::ALL {
        let mut done = Vec::new();
        while !masters.is_empty() {
            let chosen = masters.split_off(masters.len().saturating_sub(TURN));
            let (service_before, worker_before) = (cpu_of(service)?, cpu_of(worker)?);
            let burst = burst(jobs(chosen, algorithm), sessions, 201).await?;
            let service_cpu = each(cpu_of(service)?.saturating_sub(service_before));
            let worker_cpu = each(cpu_of(worker)?.saturating_sub(worker_before));
            let after = loop_turn(&mut plain)?;
            turns.push(Turn {
                service: burst.rate,
                plain: f64::midpoint(before.0, after.0),
                service_cpu,
                worker_cpu,
                plain_cpu: f64::midpoint(before.1, after.1),
            });
            before = after;
            done.extend(burst.done.into_iter().map(|job| job.owner));
        }
        masters = done;
    }
    Ok(turns)
}

fn report(bits: u32, sessions: usize, cores: usize, turns: &[Turn], verdicts: &mut Verdicts) {
    let ratio = Spread::of(turns, |turn| turn.service / turn.plain);
    let above = Spread::of(turns, |turn| {
        turn.service_cpu + turn.worker_cpu - turn.plain_cpu
    });
    println!(
        "Cold signatures over mTLS, RSA-{bits}, {sessions} sessions on {cores} cores, {} turns of {TURN}",
        turns.len()
    );
    println!(
        "  plain loop, signatures/s      {:.0}",
        Spread::of(turns, |turn| turn.plain)
    );
    println!(
        "  service, signatures/s         {:.0}",
        Spread::of(turns, |turn| turn.service)
    );
    println!("  service / plain loop          {ratio:.3}");
    println!(
        "  CPU of the plain loop, ms     {:.4}",
        Spread::of(turns, |turn| turn.plain_cpu)
    );
    println!(
        "  CPU of the service, ms        {:.4}",
        Spread::of(turns, |turn| turn.service_cpu)
    );
    println!(
        "  CPU of the worker, ms         {:.4}",
        Spread::of(turns, |turn| turn.worker_cpu)
    );
    println!("  CPU of both above the loop    {above:.4}");
    if sessions < cores {
        verdicts.judge("ratio >= 0.95", ratio.median >= LEAST_RATIO);
    } else {
        verdicts.judge("CPU above the loop <= 0.15 ms", above.median <= MOST_CPU);
    }
}

/// Rate, and milliseconds of CPU time for each.
fn loop_turn(plain: &mut Loop) -> Result<(f64, f64)> {
    let before = cpu_of(plain.process())?;
    let wall = plain.sign(TURN)?;
    let spent = cpu_of(plain.process())?.saturating_sub(before);
    Ok((fraction(TURN) / wall.as_secs_f64(), each(spent)))
}

fn each(spent: Duration) -> f64 {
    spent.as_secs_f64() * 1e3 / fraction(TURN)
}

/// A connection's owner and a request that was made before.
pub(crate) struct Job<T> {
    pub(crate) owner: T,
    pub(crate) request: Vec<u8>,
}

/// What has a connection.
pub(crate) trait Connected: Send + 'static {
    fn connection(&mut self) -> &mut Connection;
}

impl Connected for Accepted {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Connected for Connection {
    fn connection(&mut self) -> &mut Connection {
        self
    }
}

fn jobs(masters: Vec<Accepted>, algorithm: Algorithm) -> Vec<Job<Accepted>> {
    let job = |owner: Accepted| Job {
        request: owner.put(algorithm),
        owner,
    };
    masters.into_iter().map(job).collect()
}

/// What became of many requests.
pub(crate) struct Burst<T> {
    pub(crate) done: Vec<Job<T>>,
    /// Answers a second, from the first answer to the last: what passes before the first one is
    /// latency, which a full pipeline hides.
    pub(crate) rate: f64,
}

/// Sends every request once, with enough in flight to keep the HSM and the disk busy.
pub(crate) async fn burst<T: Connected>(
    jobs: Vec<Job<T>>,
    sessions: usize,
    status: u16,
) -> Result<Burst<T>> {
    let jobs = Arc::new(Mutex::new(jobs));
    let tasks: Vec<_> = (0..IN_FLIGHT * sessions)
        .map(|_| {
            let jobs = Arc::clone(&jobs);
            tokio::spawn(async move {
                let mut done = Vec::new();
                while let Some(mut job) = next(&jobs) {
                    job.owner.connection().expect(&job.request, status).await?;
                    done.push((Instant::now(), job));
                }
                Ok::<_, anyhow::Error>(done)
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.append(&mut task.await??);
    }
    let times = || done.iter().map(|(at, _)| *at);
    let first = times().min().context("no request")?;
    let last = times().max().context("no request")?;
    let count = fraction(done.len().saturating_sub(1));
    Ok(Burst {
        rate: count / last.duration_since(first).as_secs_f64(),
        done: done.into_iter().map(|(_, job)| job).collect(),
    })
}

fn next<T>(jobs: &Mutex<Vec<Job<T>>>) -> Option<Job<T>> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

/// For each session.
const IN_FLIGHT: usize = 24;
const WARM_UP: usize = 40;
/// Each has its key signed twice, by one algorithm and the other.
const MASTERS: usize = 400;
const TURN: usize = 100;
const LEAST_RATIO: f64 = 0.95;
/// Milliseconds.
const MOST_CPU: f64 = 0.15;
