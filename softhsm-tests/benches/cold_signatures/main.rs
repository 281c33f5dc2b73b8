//! Cold signatures through the pool and its worker process, against the plainest loop around
//! `C_Sign` that can be written.
//!
//! Both sign the same keys with the same key on the same token, with as many sessions, in turns:
//! what else the machine does meets both alike, and only ratios are judged. The loop runs in a
//! process of its own, this very program with other arguments, because `SoftHSM2` finds its token
//! through the environment.
//!
//! With one session less than there are cores the pool has to reach 0.95 of the loop. With a
//! session for every core, checking, sending and verifying have to come out of the same cores, so
//! there the bound is what they cost the service: 0.08 ms of CPU time for each signature, the
//! verification included. What verifying alone costs grows with the key and is printed beside.
//! Missing a bound ends the program with failure.
//!
//! `cargo bench -p softhsm-tests --bench cold_signatures -- 4096` measures one size of the signing
//! key only.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a benchmark prints, and divides by what it has counted"
)]

mod raw;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use minion::verify::{Algorithm, PublicKey};
use nix::sys::resource::{UsageWho, getrusage};
use signer::authorize::Permit;
use signer::hsm::Pool;
use softhsm_tests::pool::{Rig, keys};
use tokio::runtime::Runtime;

use raw::Loop;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == raw::MODE).is_some() {
        raw::run(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    // cargo adds an argument of its own.
    let sizes: Vec<u32> = arguments.filter_map(|size| size.parse().ok()).collect();
    let cores = std::thread::available_parallelism()?.get();
    let mut verdicts = Vec::new();
    for bits in [2048, 4096] {
        if !sizes.is_empty() && !sizes.contains(&bits) {
            continue;
        }
        for sessions in [cores.saturating_sub(1).max(1), cores] {
            verdicts.push(measure(bits, sessions, cores)?);
        }
    }
    Ok(if verdicts.iter().all(|verdict| *verdict == Verdict::Met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
}

/// One size of the signing key, with so many sessions.
fn measure(bits: u32, sessions: usize, cores: usize) -> Result<Verdict> {
    let rig = Rig::with_bits(bits)?;
    rig.without_counting()?;
    rig.edit("sessions = 2", &format!("sessions = {sessions}"))?;
    let keys = keys(KEYS)?;
    let runtime = Runtime::new()?;
    let pool = runtime.block_on(async { rig.start() })?;
    let signing = runtime.block_on(pool.ready());
    let verifying = verifying(&runtime, &rig, &pool, &signing, &keys)?;
    let mut plain = Loop::start(rig.site().token(), sessions, &keys)?;

    let warm_up = plain.sign(WARM_UP)?;
    let count =
        usize::try_from(ROUND.as_nanos() * u128::try_from(WARM_UP)? / warm_up.as_nanos().max(1))?
            .clamp(20, 5000);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let permits = permits(&rig, &keys, count)?;
        let (loops, pooled) = if round % 2 == 0 {
            let loops = plain.sign(count)?;
            (loops, runtime.block_on(through(&pool, permits))?)
        } else {
            let pooled = runtime.block_on(through(&pool, permits))?;
            (plain.sign(count)?, pooled)
        };
        // The first round is a warm-up too.
        if round > 0 {
            rounds.push((loops, pooled));
        }
    }
    runtime.block_on(pool.shutdown());
    let setting = Setting {
        bits,
        sessions,
        cores,
        count,
        verifying,
    };
    Ok(setting.report(&rounds))
}

/// What it takes to verify one signature, in milliseconds.
fn verifying(
    runtime: &Runtime,
    rig: &Rig,
    pool: &Pool,
    signing: &PublicKey,
    keys: &[Arc<PublicKey>],
) -> Result<f64> {
    let key = keys.first().context("no key")?;
    let signature = runtime.block_on(pool.sign(rig.permit(key)?, Algorithm::Sha1))?;
    let before = cpu_time()?;
    for _ in 0..VERIFICATIONS {
        signing.verify(Algorithm::Sha1, key, &signature)?;
    }
    let spent = cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e3 / f64::from(VERIFICATIONS))
}

/// What one round through the pool took.
#[derive(Clone, Copy)]
struct Pooled {
    wall: Duration,
    /// CPU time of this process, in which the pool is.
    cpu: Duration,
}

/// Signs once for each permit, with the pipeline kept full.
async fn through(pool: &Pool, permits: Vec<Permit>) -> Result<Pooled> {
    let permits = Arc::new(Mutex::new(permits));
    let (start, before) = (Instant::now(), cpu_time()?);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (pool, permits) = (pool.clone(), Arc::clone(&permits));
            tokio::spawn(async move {
                while let Some(permit) = next(&permits) {
                    pool.sign(permit, Algorithm::Sha1).await?;
                }
                Ok::<(), signer::hsm::Error>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(Pooled {
        wall: start.elapsed(),
        cpu: cpu_time()?.saturating_sub(before),
    })
}

fn next(permits: &Mutex<Vec<Permit>>) -> Option<Permit> {
    permits.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn permits(rig: &Rig, keys: &[Arc<PublicKey>], count: usize) -> Result<Vec<Permit>> {
    let keys = keys.iter().cycle().take(count);
    keys.map(|key| rig.permit(key)).collect()
}

fn cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = [usage.user_time(), usage.system_time()]
        .map(|time| Duration::from_secs_f64(seconds(time.tv_sec(), time.tv_usec())));
    Ok(time.iter().sum())
}

fn seconds(whole: i64, micros: i64) -> f64 {
    let number = |value: i64| f64::from(i32::try_from(value).unwrap_or(i32::MAX));
    number(whole) + number(micros) / 1e6
}

/// What was measured, apart from the times.
struct Setting {
    bits: u32,
    sessions: usize,
    cores: usize,
    count: usize,
    /// Milliseconds for each signature.
    verifying: f64,
}

impl Setting {
    fn report(&self, rounds: &[(Duration, Pooled)]) -> Verdict {
        let Self {
            bits,
            sessions,
            cores,
            count,
            verifying,
        } = self;
        let each = f64::from(u32::try_from(*count).unwrap_or(u32::MAX));
        let ratio = Spread::of(rounds, |(plain, pooled)| {
            plain.div_duration_f64(pooled.wall)
        });
        let cpu = Spread::of(rounds, |(_, pooled)| pooled.cpu.as_secs_f64() * 1e3 / each);
        let plain = Spread::of(rounds, |(plain, _)| each / plain.as_secs_f64());
        let (met, judged) = if sessions < cores {
            (
                ratio.median >= LEAST_RATIO,
                format!("ratio >= {LEAST_RATIO}"),
            )
        } else {
            (
                cpu.median <= MOST_CPU,
                format!("CPU of the service <= {MOST_CPU} ms"),
            )
        };
        println!("RSA-{bits}, {sessions} sessions on {cores} cores, {ROUNDS} rounds of {count}");
        println!("  plain loop, signatures/s      {plain:.0}");
        println!("  pool / plain loop             {ratio:.3}");
        println!("  CPU of the service, ms each   {cpu:.4}, of which verifying {verifying:.4}");
        println!("  {judged}: {}", if met { "met" } else { "MISSED" });
        if met { Verdict::Met } else { Verdict::Missed }
    }
}

/// The smallest, the middle and the largest of some numbers.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of<T>(rounds: &[T], number: impl Fn(&T) -> f64) -> Self {
        let mut numbers: Vec<f64> = rounds.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        Self {
            least: at(0),
            median: at(numbers.len() / 2),
            most: at(numbers.len().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(3);
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:.digits$} ({least:.digits$} .. {most:.digits$})")
    }
}

/// Enough that no signature is the same as the one before.
const KEYS: usize = 40;
/// More than a worker is sent ahead, so that the pool never waits for us.
const CALLERS: usize = 64;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);
const WARM_UP: usize = 40;
const LEAST_RATIO: f64 = 0.95;
const VERIFICATIONS: u32 = 2000;
/// Milliseconds.
const MOST_CPU: f64 = 0.08;
