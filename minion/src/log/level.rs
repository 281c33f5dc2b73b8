//! Salt's names for how severe a line is.

use std::fmt;
use std::str::FromStr;

/// A level, from everything to nothing.
///
/// Salt 3008.5, `salt/_logging/impl.py`, `LOG_LEVELS`; the order is that of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `all`.
    All,
    /// `garbage`, 1.
    Garbage,
    /// `trace`, 5.
    Trace,
    /// `debug`, 10.
    Debug,
    /// `profile`, 15.
    Profile,
    /// `info`, 20.
    Info,
    /// `warning`, 30.
    Warning,
    /// `error`, 40.
    Error,
    /// `critical`, 50.
    Critical,
    /// `quiet`, 1000.
    Quiet,
}

impl Level {
    /// All of them, from everything to nothing.
    pub const ALL: [Self; 10] = [
        Self::All,
        Self::Garbage,
        Self::Trace,
        Self::Debug,
        Self::Profile,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Quiet,
    ];

    /// Salt's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Garbage => "garbage",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Profile => "profile",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Quiet => "quiet",
        }
    }
}

impl Level {
    /// Python's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::All => 0,
            Self::Garbage => 1,
            Self::Trace => 5,
            Self::Debug => 10,
            Self::Profile => 15,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
            Self::Quiet => 1000,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// A name that is none of Salt's levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown log level {0:?}; Salt has all, garbage, trace, debug, profile, info, warning, error, \
     critical and quiet"
)]
pub struct UnknownLevel(String);
