//! When a worker may be started again.
//!
//! The first loss after good work is answered at once: the calls it held are waiting, and a fresh
//! process is the cure. Losses without a success between them are spaced, from half a second
//! doubling to thirty, so that a broken module is not started in a loop; chance spreads the starts
//! of several services that share an HSM.

use std::time::Duration;

/// Counts failures in a row and says how long to wait.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
}

impl Breaker {
    /// Starts with no failure.
    #[must_use]
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// A signature arrived and verified: the next loss is a first one.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A worker that had been ready was lost. `chance` is a random number.
    pub fn lost(&mut self, chance: u16) -> Duration {
        let wait = match self.failures {
            0 => Duration::ZERO,
            _ => self.wait(chance),
        };
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// A start failed. `chance` is a random number.
    pub fn start_failed(&mut self, chance: u16) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.wait(chance)
    }

    /// Half of the step for certain, the other half by chance.
    fn wait(&self, chance: u16) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        let step = FIRST.saturating_mul(1 << doublings).min(LAST);
        let half = step.mul_f64(0.5);
        half.saturating_add(half.mul_f64(f64::from(chance) / f64::from(u16::MAX)))
    }
}

const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_after_good_work_is_answered_at_once() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.lost(u16::MAX), Duration::ZERO);
        assert_eq!(breaker.lost(u16::MAX), FIRST);
        breaker.succeeded();
        assert_eq!(breaker.lost(u16::MAX), Duration::ZERO);
    }

    #[test]
    fn failed_starts_wait_from_half_a_second_to_thirty() {
        let mut breaker = Breaker::default();
        let waits: Vec<u128> = (0..8)
            .map(|_| breaker.start_failed(u16::MAX).as_millis())
            .collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn chance_takes_away_at_most_half() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.start_failed(0), FIRST / 2);
    }

    #[test]
    fn the_wait_stays_bounded_for_ever() {
        let mut breaker = Breaker { failures: u32::MAX };
        assert_eq!(breaker.start_failed(u16::MAX), LAST);
        assert_eq!(breaker.lost(u16::MAX), LAST);
    }
}
