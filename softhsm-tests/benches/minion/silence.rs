//! A master that stops, and one whose packets vanish: from the fault to the line that says so.
//!
//! Stock minions are not measured: they do not notice within a minute, whatever the interval.

use std::time::Instant;

use anyhow::{Context, Result};
use minion::verify::Algorithm;
use softhsm_tests::measure::Spread;
use softhsm_tests::namespace::Fault;
use softhsm_tests::salt::{Ours, OursConfig, Stage, Version};

use crate::figure::{Bound, Figures};

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    println!("A silent master, master_alive_interval: {INTERVAL}");
    let stage = Stage::of(Version::V3008)?;
    let trio = stage.trio()?;
    let masters: Vec<String> = trio
        .masters
        .iter()
        .map(|one| one.address().to_string())
        .collect();
    let minion = Ours::create(OursConfig {
        id: "silence",
        masters: &masters,
        trusted: &stage.trusted()?,
        algorithm: Algorithm::Sha1,
        options: &[("log_level", "info"), ("master_alive_interval", INTERVAL)],
    })?;
    let minion = minion.start(stage.namespace())?;
    minion.log().wait_for(READY)?;
    let interval: f64 = INTERVAL.parse()?;
    let network = stage.namespace().context("this part needs root")?;

    for (what, fault) in [("SIGSTOP", None), ("silent drop", Some(Fault::Deny))] {
        let (mut noticed, mut ready) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let master = trio.masters.get(round % 3).context("three masters")?;
            let mark = minion.log().len();
            match fault {
                None => master.process().stop()?,
                Some(fault) => network.inject(fault, master.address())?,
            }
            // Until the last of its processes has stopped, the master may give a sign of life.
            let start = Instant::now();
            let lost = format!("Connection to master {} lost", master.address());
            minion.log().wait_for_after(mark, &lost)?;
            noticed.push(start.elapsed().as_secs_f64());
            minion.log().wait_for_after(mark, READY)?;
            ready.push(start.elapsed().as_secs_f64());
            match fault {
                None => master.process().resume()?,
                Some(_) => network.lift()?,
            }
        }
        let name = |to: &str| format!("{what} to {to}");
        figures.judge_all(
            &name("noticed"),
            Spread::from_iter(noticed),
            "s",
            interval + 1.0,
        );
        figures.judge(
            &name("ready on the next"),
            Spread::from_iter(ready),
            "s",
            Bound::None,
        );
    }
    Ok(())
}

const INTERVAL: &str = "2";
/// As many at each of the three positions.
const ROUNDS: usize = 9;
const READY: &str = "Minion is ready to receive requests!";
