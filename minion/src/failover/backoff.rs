//! Waits that double, and the jitter that keeps ten thousand minions from waiting in step.
//!
//! The jitter takes off up to half of a wait and never adds: the longest wait is then what the
//! operator wrote. Random numbers come from a seed of the caller, so that a run can be repeated.

use std::time::Duration;

/// A wait that doubles with each failure up to a cap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Doubles from `base` up to `cap`; a cap below the base is the base.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap: cap.max(base),
        }
    }

    /// The wait after so many failures in a row: between half of the doubled base and all of it.
    #[must_use]
    pub fn delay(&self, failures: u32, random: &mut Random) -> Duration {
        let full = self.full(failures);
        full.saturating_sub(random.within(halved(full)))
    }

    /// The wait after so many failures in a row, before jitter.
    #[must_use]
    pub fn full(&self, failures: u32) -> Duration {
        doubled(self.base, failures.saturating_sub(1)).min(self.cap)
    }
}

/// A reproducible stream of random numbers (SplitMix64): for jitter and order, never for secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A duration below `bound`, or zero if that is zero.
    #[must_use]
    pub fn within(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos))
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
            let other = usize::try_from(self.below(bound)).unwrap_or(0);
            items.swap(last, other);
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()).wrapping_mul(u128::from(bound));
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Doubles so many times; the exponent is bounded because a wait of 36 years needs no more.
pub(super) fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32 << times.min(30))
}

/// Half of a duration.
pub(super) fn halved(whole: Duration) -> Duration {
    whole.checked_div(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_lies_between_half_the_wait_and_the_wait(
            base in 1_u64..100_000, cap in 1_u64..1_000_000, failures in 0_u32..200, seed: u64,
        ) {
            let backoff = Backoff::new(Duration::from_millis(base), Duration::from_millis(cap));
            let full = backoff.full(failures);
            let delay = backoff.delay(failures, &mut Random::new(seed));
            prop_assert!(full >= Duration::from_millis(base));
            prop_assert!(full <= Duration::from_millis(cap.max(base)));
            prop_assert!(halved(full) <= delay && delay <= full);
        }

        #[test]
        fn a_shuffle_keeps_every_item(seed: u64, size in 0_usize..40) {
            let mut items: Vec<usize> = (0..size).collect();
            Random::new(seed).shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn jitter_fills_the_window_evenly() {
        let mut random = Random::new(7);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            let at = random.within(Duration::from_secs(10)).as_secs();
            tenths[usize::try_from(at).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|n| (850..1_150).contains(n)),
            "{tenths:?}"
        );
    }
}
