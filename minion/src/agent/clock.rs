//! The two clocks of an agent: one that only goes forward, and the calendar that Salt's messages
//! carry.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;
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

/// Seconds since 1970, never negative.
pub(super) fn unix_seconds() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0)
}

/// Seconds since 1970.
pub(super) fn timestamp() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// The time as a return carries it.
pub(super) fn stamp() -> String {
    text(STAMP)
}

/// The time as a start event carries it (Python's `time.asctime`, in UTC).
pub(super) fn ascii_time() -> String {
    text(ASCII)
}

fn text(format: &[FormatItem<'_>]) -> String {
    // Formats only parts that every date has.
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

const STAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");
const ASCII: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
);
