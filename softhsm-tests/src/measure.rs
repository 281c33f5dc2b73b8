//! For benchmarks: numbers of many turns, and the CPU time of processes.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// The smallest, the middle and the largest of some numbers.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The one in the middle.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// A number of each turn.
    pub fn of<T>(turns: &[T], number: impl Fn(&T) -> f64) -> Self {
        turns.iter().map(number).collect()
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        Self {
            least: at(0),
            median: at(numbers.len() / 2),
            most: at(numbers.len().saturating_sub(1)),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:.digits$} ({least:.digits$} .. {most:.digits$})")
    }
}

/// A number as a fraction; none of those here is so large that it loses anything.
#[must_use]
pub fn fraction(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The CPU time that a process has used, all its threads together.
///
/// # Errors
///
/// Fails if there is no such process.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let process = Pid::from_raw(process.try_into()?);
    let clock = ClockId::pid_cpu_clock_id(process).context("the process is gone")?;
    Ok(Duration::from(clock.now()?))
}
