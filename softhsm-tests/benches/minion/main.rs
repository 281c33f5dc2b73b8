//! Our minion beside stock ones, at the same real masters, in one run.
//!
//! Everything is a ratio to something that was measured beside it, a duration against a configured
//! interval, or memory: what else the machine does meets both sides alike. The rounds alternate,
//! and a missed bound ends the program with failure.
//!
//! `cargo bench -p softhsm-tests --bench minion -- verification` measures one part; the others are
//! `stock` (or `stock-3008.5` alone), `silence`, `connections` and `fleet`.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a benchmark prints, and divides by what it has counted"
)]

mod connections;
mod figure;
mod fleet;
mod silence;
mod stock;
mod usage;
mod verification;

use std::process::ExitCode;

use anyhow::Result;
use softhsm_tests::salt::Version;

use figure::Figures;

fn main() -> Result<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == fleet::MODE) {
        fleet::run(&arguments.split_off(1))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments
        .first()
        .is_some_and(|first| first == connections::MODE)
    {
        connections::run(&arguments.split_off(1))?;
        return Ok(ExitCode::SUCCESS);
    }
    // cargo adds an argument of its own.
    arguments.retain(|argument| !argument.starts_with('-'));
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|one| one == part);
    let mut figures = Figures::default();
    if wanted("verification") {
        verification::measure(&mut figures)?;
    }
    // A version's masters end when the next version's start.
    for version in [Version::V3006, Version::V3008] {
        if wanted("stock") || arguments.contains(&format!("stock-{version}")) {
            stock::measure(&mut figures, version)?;
        }
    }
    if wanted("silence") {
        silence::measure(&mut figures)?;
    }
    if wanted("connections") {
        connections::measure(&mut figures)?;
    }
    if wanted("fleet") {
        fleet::measure(&mut figures)?;
    }
    Ok(if figures.finish() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
