//! When to come back after a connection was lost, in Salt's three options.
//!
//! The randomness is an argument: who simulates ten thousand minions wants to choose it.

use std::time::Duration;

/// Salt's `recon_default`, `recon_max` and `recon_randomize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// `recon_default`: the shortest first delay.
    pub shortest: Duration,
    /// `recon_max`: the longest delay, and the width of the random part; zero is no bound.
    pub longest: Duration,
    /// `recon_randomize`: whether the first delay is drawn from `shortest` to `shortest +
    /// longest`.
    pub randomize: bool,
}

impl Reconnect {
    /// The delay before attempt number `attempt` (the first is 0) after a loss.
    ///
    /// As Salt 3008.5 has it (`salt/transport/zeromq.py`, `PublishClient`) and libzmq 4.3.5 carries
    /// it out: the first delay is drawn, each further one is twice as long, and none is longer than
    /// `longest`. The caller keeps `random`, any number, until it is connected.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let width = u64::try_from(self.longest.as_nanos()).unwrap_or(u64::MAX);
        let drawn = match width.checked_add(1) {
            Some(values) if self.randomize => random.checked_rem(values).unwrap_or(0),
            _ => 0,
        };
        let first = self.shortest.saturating_add(Duration::from_nanos(drawn));
        let delay = first.saturating_mul(2_u32.saturating_pow(attempt));
        if self.longest.is_zero() {
            delay
        } else {
            delay.min(self.longest)
        }
    }
}

impl Default for Reconnect {
    /// Salt's defaults: one second, ten seconds, randomized.
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            randomize: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_randomness_the_delay_doubles_up_to_the_bound() {
        let fixed = Reconnect {
            randomize: false,
            ..Reconnect::default()
        };
        let seconds = |attempt| fixed.delay(attempt, 12_345).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 99].map(seconds), [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn the_random_part_spreads_over_the_whole_width() {
        let options = Reconnect::default();
        let second = 1_000_000_000;
        assert_eq!(options.delay(0, 0), Duration::from_secs(1));
        assert_eq!(options.delay(0, 8 * second), Duration::from_secs(9));
        assert_eq!(options.delay(0, 10 * second), Duration::from_secs(10));
    }

    proptest! {
        #[test]
        fn any_options_give_a_delay_within_their_bound(
            shortest: u64, longest in 1_u64.., randomize: bool, attempt: u32, random: u64,
        ) {
            let longest = Duration::from_nanos(longest);
            let shortest = Duration::from_nanos(shortest);
            let options = Reconnect { shortest, longest, randomize };
            let delay = options.delay(attempt, random);
            prop_assert!(delay <= longest);
            prop_assert!(delay >= shortest.min(longest));
        }
    }
}
