//! The time, as an argument.
//!
//! Statements, proofs and audit records carry times that are compared and signed, so the code that
//! decides about them takes the time from its caller, and tests choose it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

/// A point in time in UTC with whole seconds, written `2026-11-22T02:25:06Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Reads seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    ///
    /// Fails outside the years 0 to 9999, which the text form cannot hold.
    pub fn from_unix(seconds: i64) -> Result<Self, TimestampError> {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TimestampError)?;
        if (0..=9999).contains(&moment.year()) {
            Ok(Self(moment))
        } else {
            Err(TimestampError)
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// How far apart two points are, whichever comes first.
    #[must_use]
    pub const fn distance(self, other: Self) -> Duration {
        Duration::from_secs(self.unix().abs_diff(other.unix()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(FORMAT).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = time::PrimitiveDateTime::parse(text, FORMAT).map_err(|_| TimestampError)?;
        Ok(Self(moment.assume_utc()))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text or number that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written in UTC with whole seconds, like 2026-11-22T02:25:06Z")]
pub struct TimestampError;

/// Knows what time it is.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = OffsetDateTime::now_utc();
        Timestamp(now.replace_nanosecond(0).unwrap_or(now))
    }
}

const FORMAT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
