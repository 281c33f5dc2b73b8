//! What processes use: memory and CPU time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use softhsm_tests::process::Process;

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Result<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// CPU time of a program and all that it has started: to the nanosecond of what still runs, to the
/// clock tick of what has ended.
pub(crate) fn cpu(process: &Process) -> Result<Duration> {
    let mut nanoseconds = 0_u64;
    for id in process.ids()? {
        nanoseconds = nanoseconds.saturating_add(ended(id)?);
        let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else {
            continue;
        };
        for task in tasks {
            // proc(5): the first number is the time on a processor.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let first = text
                .split_whitespace()
                .next()
                .context("an empty schedstat")?;
            nanoseconds = nanoseconds.saturating_add(first.parse()?);
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// CPU nanoseconds of a process's children that have ended and that it has waited for.
fn ended(id: i32) -> Result<u64> {
    let Ok(text) = fs::read_to_string(format!("/proc/{id}/stat")) else {
        return Ok(0);
    };
    // proc(5): the name in parentheses may hold blanks; `cutime` and `cstime` are the fields 16
    // and 17, and 3 is the first after the name.
    let (_, rest) = text.rsplit_once(')').context("no name in stat")?;
    let mut fields = rest.split_whitespace().skip(13);
    let mut ticks = || {
        fields
            .next()
            .context("stat is short")?
            .parse::<u64>()
            .context("no ticks")
    };
    Ok((ticks()? + ticks()?) * NANOSECONDS_PER_TICK)
}

/// Linux shows user space 100 ticks a second (`USER_HZ`).
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// Resident memory of a program and all that it has started, in KiB, and of how many processes.
pub(crate) fn resident(process: &Process) -> Result<(f64, usize)> {
    let ids = process.ids()?;
    let mut sum = 0.0;
    for id in &ids {
        sum += resident_of(&id.to_string())?;
    }
    Ok((sum, ids.len()))
}

/// Resident memory of one process, in KiB.
pub(crate) fn resident_of(id: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}
