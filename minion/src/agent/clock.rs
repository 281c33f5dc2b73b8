//! The two clocks of an agent: one that only goes forward, and the calendar that Salt's messages
//! carry.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, ZonedDateTime};
use tokio::time::Instant;

use crate::failover::Moment;

/// The clock of the failover machine: it counts from the agent's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Monotonic(Instant);

impl Monotonic {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Moment {
        Moment::at(self.0.elapsed())
    }

    /// How long until the moment; nothing if it has passed.
    pub(super) fn until(self, moment: Moment) -> Duration {
        moment.since(self.now())
    }
}

/// The instant after this long. A year is as good as never, and can be represented.
pub(super) fn after(within: Duration) -> Instant {
    (Instant::now().into_std() + within.min(YEAR)).into()
}

/// The time, for what is valid from one day to another.
pub(super) fn now() -> SystemTime {
    SystemTime::try_from(Timestamp::now()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Seconds since 1970, never negative.
pub(super) fn unix_seconds() -> u64 {
    u64::try_from(timestamp()).unwrap_or(0)
}

/// Seconds since 1970.
pub(super) fn timestamp() -> i64 {
    Timestamp::now().as_second()
}

/// The time as a return carries it.
pub(super) fn stamp() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00")
        .to_string()
}

/// The local time as a start event carries it (Python's `time.asctime`).
pub(super) fn ascii_time() -> String {
    ZonedDateTime::now()
        .strftime("%a %b %e %H:%M:%S %Y")
        .to_string()
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_salts_form() {
        // 2026-11-22T01:25:06.996258+00:00
        let stamp = stamp();
        assert_eq!(stamp.len(), 32, "{stamp}");
        assert!(stamp.ends_with("+00:00"), "{stamp}");
        assert_eq!(stamp.as_bytes()[19], b'.', "{stamp}");
        // Sun Nov 22 01:25:06 2026
        let ascii = ascii_time();
        assert_eq!(ascii.len(), 24, "{ascii}");
    }
}
