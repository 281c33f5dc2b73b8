//! `mastersign hsm bench`: how many signatures a token makes.
//!
//! The only message is the signing key's own public half, as everywhere: a token that is measured
//! with anything else makes forgeries for the whole fleet.

use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use minion::verify::Algorithm;
use serde_json::json;

use super::Output;
use super::inside::{self, Opened};
use super::secrets::Secrets;
use super::target::{self, Target};
use crate::hsm::token::{Error, Module, SigningKey, TokenInfo};
use crate::terminal::{self, Progress};

/// The arguments of `mastersign hsm bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: target::Flags,
    /// How long, like 10s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// How many sessions sign at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    sessions: u16,
    /// PKCS1v15-SHA1 or PKCS1v15-SHA224
    #[arg(long, value_name = "NAME", default_value = "PKCS1v15-SHA1")]
    algorithm: Algorithm,
}

/// Reads the PIN and starts the child.
pub(super) fn outside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(
        (SHORTEST..=LONGEST).contains(&arguments.time),
        "--time is between {} and {}",
        humantime::format_duration(SHORTEST),
        humantime::format_duration(LONGEST)
    );
    let target = arguments.target.target()?;
    inside::run_with_pin(&target, &arguments.target)
}

/// Measures.
pub(super) fn inside(
    arguments: &Arguments,
    secrets: &Secrets,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let target = arguments.target.target()?;
    let opened = Opened::of(&target, secrets)?;
    let Opened {
        module, token, key, ..
    } = &opened;
    let signing = Progress::of(
        format!(
            "signing the key's own public half for {} with {} sessions",
            humantime::format_duration(arguments.time),
            arguments.sessions
        ),
        milliseconds(arguments.time),
    );
    let taken = run(module, token, key, arguments, &target, &signing);
    drop(signing);
    let mut taken = taken.map_err(|error| inside::explain(error, &target))?;
    taken.sort_unstable();
    let seconds = arguments.time.as_secs_f64();
    let count = u32::try_from(taken.len()).context("too many signatures to count")?;
    let rate = f64::from(count) / seconds;
    let at = |share: usize| {
        let index = taken.len().saturating_sub(1).saturating_mul(share) / 100;
        taken.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    match output {
        Output::Json => terminal::say(json!({
            "token": token.to_string(),
            "bits": key.public.bits(),
            "algorithm": arguments.algorithm.name(),
            "sessions": arguments.sessions,
            "seconds": seconds,
            "signatures": count,
            "signatures_per_second": rate,
            "milliseconds": {"p50": at(50), "p99": at(99), "max": at(100)},
        }))?,
        Output::Text => terminal::say(format_args!(
            "{rate:.0} signatures/s, each verified: RSA-{}, {}, {} sessions, {count} in {seconds} s\n\
             time of one: median {:.2} ms, p99 {:.2} ms, longest {:.2} ms\n\
             A master needs one for each algorithm and never again, so this is what a first start of a \
             whole fleet waits for.",
            key.public.bits(),
            arguments.algorithm,
            arguments.sessions,
            at(50),
            at(99),
            at(100)
        ))?,
    }
    opened.close()?;
    Ok(ExitCode::SUCCESS)
}

/// How long each signature took that was finished in time.
fn run(
    module: &Module,
    token: &TokenInfo,
    key: &SigningKey,
    arguments: &Arguments,
    target: &Target,
    progress: &Progress,
) -> Result<Vec<Duration>, Error> {
    let together = Barrier::new(usize::from(arguments.sessions));
    let one = || -> Result<Vec<Duration>, Error> {
        let session = module.open_session(token);
        // Also when there is no session: the others wait.
        together.wait();
        let mut session = session?;
        let begin = Instant::now();
        let mut taken = Vec::new();
        loop {
            let at = Instant::now();
            session.sign_trial(key, target.mechanism, arguments.algorithm)?;
            if begin.elapsed() > arguments.time {
                break;
            }
            taken.push(at.elapsed());
            progress.at(milliseconds(begin.elapsed()));
        }
        session.close()?;
        Ok(taken)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.sessions).map(|_| scope.spawn(one)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().unwrap_or(Err(Error::Poisoned))?);
        }
        Ok(all)
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const SHORTEST: Duration = Duration::from_millis(100);
/// Longer than this is a load test, and an HSM that serves should not be the one that it is run on.
const LONGEST: Duration = Duration::from_secs(600);
