//! Cold signatures through the pool and its worker process, against the plainest loop around
//! `C_Sign` that can be written.
//!
//! Both sign the same keys with the same key on the same token, with as many sessions, in many short
//! turns. Each turn of the pool is compared with the mean of the loop's turns just before and after
//! it, so that a machine which gets slower or faster meanwhile does that to both, and the median of
//! these ratios is judged: what else the machine does now and then spoils single turns. The loop
//! runs in a process of its own, this very program with other arguments, because `SoftHSM2` finds
//! its token through the environment.
//!
//! With one session less than there are cores the pool has to reach 0.95 of the loop. With a
//! session for every core, checking, sending and verifying have to come out of the same cores, so
//! there the bound is what they cost the service: 0.08 ms of CPU time for each signature, the
//! verification included. What verifying alone costs grows with the key and is printed beside; so
//! is what the callers cost if they are answered at once, which is part of the figure too, because
//! they run in the service's process as requests do. Missing a bound ends the program with failure.
//!
//! `cargo bench -p softhsm-tests --bench cold_signatures -- 4096` measures one size of the signing
//! key only.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a benchmark prints, and divides by what it has counted"
)]

#[path = "../shared/raw.rs"]
mod raw;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use minion::verify::{Algorithm, PublicKey};
use signer::authorize::Permit;
use signer::hsm::Pool;
use softhsm_tests::measure::{Spread, cpu_of, fraction};
use softhsm_tests::pool::{Rig, keys, only};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

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

    let asking = runtime.block_on(asking())?;
    let warm_up = plain.sign(WARM_UP)?;
    let turn = TURN.as_nanos() * u128::try_from(WARM_UP)? / warm_up.as_nanos().max(1);
    // As many for each session, so that none works while the others are done.
    let count = usize::try_from(turn)?
        .clamp(20, 5000)
        .next_multiple_of(sessions);
    runtime.block_on(through(&pool, sessions, permits(&rig, &keys, count)?))?;
    let worker = only(&pool)?.process.context("no worker")?;
    let mut before = plain.sign(count)?;
    let mut turns = Vec::new();
    let busy = [cpu_of(plain.process())?, cpu_of(worker)?];
    for _ in 0..TURNS {
        let permits = permits(&rig, &keys, count)?;
        let pooled = runtime.block_on(through(&pool, sessions, permits))?;
        let after = plain.sign(count)?;
        turns.push((before.saturating_add(after) / 2, pooled));
        before = after;
    }
    let [plain_cpu, worker_cpu] = [cpu_of(plain.process())?, cpu_of(worker)?];
    let each = |spent: Duration| spent.as_secs_f64() * 1e3 / fraction(TURNS * count);
    let [plain_before, worker_before] = busy;
    let plain_each = each(plain_cpu.saturating_sub(plain_before));
    let worker_each = each(worker_cpu.saturating_sub(worker_before));
    runtime.block_on(pool.shutdown());
    let setting = Setting {
        bits,
        sessions,
        cores,
        count,
        verifying,
        asking,
        plain: plain_each,
        worker: worker_each,
        login: plain.login(),
    };
    Ok(setting.report(&turns))
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

/// What it takes to ask for one signature and to be answered at once, in milliseconds.
async fn asking() -> Result<f64> {
    let (questions, mut asked) = mpsc::channel::<oneshot::Sender<()>>(CALLERS);
    let before = cpu_time()?;
    let answering = tokio::spawn(async move {
        while let Some(reply) = asked.recv().await {
            // The caller waits for it.
            let _ = reply.send(());
        }
    });
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let questions = questions.clone();
            tokio::spawn(async move {
                for _ in 0..QUESTIONS {
                    let (reply, answer) = oneshot::channel();
                    questions.send(reply).await?;
                    answer.await?;
                }
                Ok::<(), anyhow::Error>(())
            })
        })
        .collect();
    drop(questions);
    for caller in callers {
        caller.await??;
    }
    answering.await?;
    let spent = cpu_time()?.saturating_sub(before);
    let questions = fraction(CALLERS) * f64::from(QUESTIONS);
    Ok(spent.as_secs_f64() * 1e3 / questions)
}

/// What one turn of the pool took.
#[derive(Clone, Copy)]
struct Pooled {
    wall: Duration,
    /// CPU time of this process, in which the pool is.
    cpu: Duration,
}

/// Signs once for each permit, with the pipeline kept full.
async fn through(pool: &Pool, sessions: usize, permits: Vec<Permit>) -> Result<Pooled> {
    let permits = Arc::new(Mutex::new(permits));
    let (start, before) = (Instant::now(), cpu_time()?);
    let callers: Vec<_> = (0..CALLERS.saturating_mul(sessions))
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

/// CPU time of this process.
fn cpu_time() -> Result<Duration> {
    cpu_of(std::process::id())
}

/// What was measured, apart from the times.
struct Setting {
    bits: u32,
    sessions: usize,
    cores: usize,
    count: usize,
    /// Milliseconds for each signature.
    verifying: f64,
    /// The same.
    asking: f64,
    /// CPU time of the plain loop, the same.
    plain: f64,
    /// CPU time of the worker process, the same.
    worker: f64,
    /// What the token takes before it can sign at all.
    login: Duration,
}

impl Setting {
    fn report(&self, turns: &[(Duration, Pooled)]) -> Verdict {
        let Self {
            bits,
            sessions,
            cores,
            count,
            verifying,
            asking,
            plain: plain_cpu,
            worker,
            login,
        } = self;
        let each = fraction(*count);
        let ratio = Spread::of(turns, |(plain, pooled)| plain.div_duration_f64(pooled.wall));
        let cpu = Spread::of(turns, |(_, pooled)| pooled.cpu.as_secs_f64() * 1e3 / each);
        let plain = Spread::of(turns, |(plain, _)| each / plain.as_secs_f64());
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
        println!("RSA-{bits}, {sessions} sessions on {cores} cores, {TURNS} turns of {count}");
        println!("  plain loop, signatures/s      {plain:.0}");
        println!("  pool / plain loop             {ratio:.3}");
        println!("  CPU of the service, ms each   {cpu:.4}");
        println!("    verifying alone             {verifying:.4}");
        println!("    the callers alone           {asking:.4}");
        println!("  CPU of the worker, ms each    {worker:.4}, of the plain loop {plain_cpu:.4}");
        println!("  the token's own login         {login:.1?}");
        println!("  {judged}: {}", if met { "met" } else { "MISSED" });
        if met { Verdict::Met } else { Verdict::Missed }
    }
}

/// Enough that no signature is the same as the one before.
const KEYS: usize = 40;
/// For each session; more than a worker is sent ahead, so that the pool never waits for us.
const CALLERS: usize = 8;
const TURNS: usize = 60;
const TURN: Duration = Duration::from_millis(200);
const WARM_UP: usize = 40;
const LEAST_RATIO: f64 = 0.95;
const VERIFICATIONS: u32 = 2000;
const QUESTIONS: u32 = 500;
/// Milliseconds.
const MOST_CPU: f64 = 0.08;
