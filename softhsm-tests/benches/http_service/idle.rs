//! What the service costs while nobody asks, and how long it takes to start.

use std::time::Duration;

use anyhow::{Result, ensure};
use softhsm_tests::measure::Spread;
use softhsm_tests::pool::Rig;

use crate::Verdicts;
use crate::raw::Loop;
use crate::site::Site;

/// Several starts, because what else the machine does meets single ones.
pub(crate) async fn measure(verdicts: &mut Verdicts) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let rig = Rig::with_bits(2048)?;
        let login = Loop::start(rig.site().token(), 1, &[])?.login();
        rig.without_counting()?;
        let site = Site::around(rig).await?;
        ensure!(site.is_ready()?, "no longer ready");
        let (service, worker) = site.resident()?;
        starts.push((site.ready, login, service, worker));
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let beyond = Spread::of(&starts, |start| {
        milliseconds(start.0.saturating_sub(start.1))
    });
    let resident = Spread::of(&starts, |start| start.2 + start.3);
    println!("Idle service with one worker of two sessions, {STARTS} starts");
    println!(
        "  start to ready, ms            {:.1}",
        Spread::of(&starts, |start| milliseconds(start.0))
    );
    println!(
        "  the token's own login, ms     {:.1}",
        Spread::of(&starts, |start| milliseconds(start.1))
    );
    println!(
        "  resident, service, MiB        {:.1}",
        Spread::of(&starts, |start| start.2)
    );
    println!(
        "  resident, worker, MiB         {:.1}",
        Spread::of(&starts, |start| start.3)
    );
    println!("  resident, both, MiB           {resident:.1}");
    verdicts.judge(
        "start to ready <= 500 ms beyond the login",
        beyond.median <= MOST_BEYOND,
    );
    verdicts.judge("resident <= 40 MiB", resident.median <= MOST_RESIDENT);
    Ok(())
}

const STARTS: usize = 5;
/// Milliseconds.
const MOST_BEYOND: f64 = 500.0;
/// MiB.
const MOST_RESIDENT: f64 = 40.0;
