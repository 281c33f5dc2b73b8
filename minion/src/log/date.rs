//! Dates as Python's `time.strftime` writes them.

use std::fmt;
use std::str::FromStr;

use jiff::ZonedDateTime;
use jiff::fmt::strtime;

/// A format of `strftime`, checked when it is read and not at the first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat(String);

impl DateFormat {
    /// Checks a format.
    ///
    /// # Errors
    ///
    /// Names what is no directive.
    pub fn parse(text: &str) -> Result<Self, BadDateFormat> {
        match strtime::format(text, &ZonedDateTime::default()) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(BadDateFormat(error.to_string())),
        }
    }

    /// Salt's `log_datefmt` where none is configured.
    #[must_use]
    pub fn console() -> Self {
        Self("%H:%M:%S".to_owned())
    }

    /// Salt's `log_datefmt_logfile` where none is configured.
    #[must_use]
    pub fn logfile() -> Self {
        Self("%Y-%m-%d %H:%M:%S".to_owned())
    }

    pub(super) fn write(&self, time: &ZonedDateTime) -> String {
        // It was tried with another time when it was parsed.
        strtime::format(&self.0, time).unwrap_or_default()
    }
}

impl fmt::Display for DateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DateFormat {
    type Err = BadDateFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A text that is no format of dates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no format of strftime: {0}")]
pub struct BadDateFormat(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_look_as_python_writes_them() {
        let time: ZonedDateTime = "2026-11-05T03:04:09+00:00[UTC]".parse().unwrap();
        for (format, expected) in [
            ("%H:%M:%S", "03:04:09"),
            ("%Y-%m-%d %H:%M:%S", "2026-11-05 03:04:09"),
            ("%a %d %b %j %z %%", "Thu 05 Nov 309 +0000 %"),
        ] {
            assert_eq!(DateFormat::parse(format).unwrap().write(&time), expected);
        }
        assert!(DateFormat::parse("%!").is_err());
    }
}
