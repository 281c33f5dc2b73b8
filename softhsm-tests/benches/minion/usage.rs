//! What processes use: memory and CPU time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use softhsm_tests::process::Process;

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Result<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// CPU time of a program and all that it has started and that still runs, to the nanosecond.
pub(crate) fn cpu(process: &Process) -> Result<Duration> {
    let mut nanoseconds = 0_u64;
    for id in process.ids()? {
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
