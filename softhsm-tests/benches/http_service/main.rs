//! The whole service over mTLS, each figure as a ratio to something measured in the same run.
//!
//! The service, the yardstick and the load generator are processes of their own, and what is
//! compared takes turns: each turn of the service is set against the mean of the yardstick's turns
//! just before and after it, and the median is judged. CPU time is read from the processes, so it
//! is the service's alone. Missing a bound ends the program with failure.
//!
//! `cargo bench -p softhsm-tests --bench http_service -- cached cold-2048` measures these two only.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a benchmark prints, and divides by what it has counted"
)]

mod cached;
mod cold;
mod connection;
mod crowd;
mod handshakes;
mod hello;
mod idle;
mod keys;
mod peer;
#[path = "../shared/raw.rs"]
mod raw;
mod site;

use std::process::ExitCode;

use anyhow::Result;
use tokio::runtime::Runtime;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == raw::MODE).is_some() {
        raw::run(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.next_if(|first| first == hello::MODE).is_some() {
        hello::run(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    // cargo adds an argument of its own.
    let wanted: Vec<String> = arguments.filter(|name| !name.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let runtime = Runtime::new()?;
    let mut verdicts = Verdicts::default();
    if is_wanted("idle") {
        runtime.block_on(idle::measure(&mut verdicts))?;
    }
    if is_wanted("cached") {
        runtime.block_on(cached::measure(&mut verdicts))?;
    }
    if is_wanted("crowd") {
        runtime.block_on(crowd::measure(&mut verdicts))?;
    }
    if is_wanted("handshakes") {
        runtime.block_on(handshakes::measure(&mut verdicts))?;
    }
    for bits in [2048, 4096] {
        if is_wanted(&format!("cold-{bits}")) {
            runtime.block_on(cold::measure(bits, &mut verdicts))?;
        }
    }
    if is_wanted("peer") {
        runtime.block_on(peer::measure())?;
    }
    Ok(verdicts.into())
}

/// Whether every bound was met.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    missed: bool,
}

impl Verdicts {
    /// Prints the verdict on one bound.
    pub(crate) fn judge(&mut self, bound: &str, is_met: bool) {
        println!("  {bound}: {}", if is_met { "met" } else { "MISSED" });
        self.missed |= !is_met;
    }
}

impl From<Verdicts> for ExitCode {
    fn from(verdicts: Verdicts) -> Self {
        if verdicts.missed {
            Self::FAILURE
        } else {
            Self::SUCCESS
        }
    }
}
