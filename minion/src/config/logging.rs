//! The options of the log.
//!
//! Salt 3008.5, `salt/utils/parsers.py`, `LogLevelMixIn`, and `salt/config/__init__.py`,
//! `_adjust_log_file_override`: which of them stands in for which.

use std::path::{Path, PathBuf};

use super::option::Options;
use super::{ConfigError, Overrides};
use crate::log::{BadFormat, DateFormat, Format, JidFormat, Level, Output, Settings};
use crate::salt_config::below;

/// Reads the options of the log.
pub(super) fn read(
    options: &mut Options,
    root_dir: &Path,
    overrides: &Overrides,
    warnings: &mut Vec<String>,
) -> Result<Settings, ConfigError> {
    let level = level(options, "log_level")?;
    let console_level = overrides.log_level.or(level).unwrap_or(Level::Warning);
    let file_level = level_of_file(options, overrides, level)?;
    let console_format = format(options, "log_fmt_console", Format::parse)?;
    let file_format = format(options, "log_fmt_logfile", Format::parse)?;
    let jid = format(options, "log_fmt_jid", JidFormat::parse)?.unwrap_or_default();
    let datefmt = date_format(options, "log_datefmt")?;
    let console_datefmt = date_format(options, "log_datefmt_console")?.or(datefmt);
    let file_datefmt = date_format(options, "log_datefmt_logfile")?;
    let file = file(options, root_dir, overrides, warnings)?;
    let console = Output {
        level: console_level,
        format: console_format
            .unwrap_or_else(Format::console)
            .with_jid(jid.clone()),
        datefmt: console_datefmt.unwrap_or_else(DateFormat::console),
    };
    let to_file = Output {
        level: file_level,
        format: file_format.unwrap_or_else(Format::logfile).with_jid(jid),
        datefmt: file_datefmt.unwrap_or_else(DateFormat::logfile),
    };
    Ok(Settings {
        style: overrides.log_format.unwrap_or_default(),
        console,
        file: file
            .filter(|_| file_level != Level::Quiet)
            .map(|path| (path, to_file)),
        granular: granular(options)?,
    })
}

fn level_of_file(
    options: &mut Options,
    overrides: &Overrides,
    level: Option<Level>,
) -> Result<Level, ConfigError> {
    let own = self::level(options, "log_level_logfile")?;
    let level = overrides.log_file_level.or(own).or(level);
    Ok(level.unwrap_or(Level::Warning))
}

/// The log file: `log_file` in `log_dir`, or Salt's default, and below `root_dir`.
fn file(
    options: &mut Options,
    root_dir: &Path,
    overrides: &Overrides,
    warnings: &mut Vec<String>,
) -> Result<Option<PathBuf>, ConfigError> {
    let directory = options.word("log_dir")?;
    let found = options.take("log_file")?;
    if let Some(path) = &overrides.log_file {
        return Ok(Some(path.clone()));
    }
    let Some(found) = found.filter(|found| found.value.as_str() != Some("")) else {
        let path = directory.map_or_else(
            || PathBuf::from(DEFAULT_FILE),
            |directory| Path::new(&directory).join("minion"),
        );
        return Ok(Some(below(root_dir, &path)));
    };
    let Some(path) = found.value.as_str() else {
        return Err(found.unexpected("a path"));
    };
    if ["file://", "tcp://", "udp://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
    {
        warnings.push(format!(
            "{}: `log_file` is the address of a syslog, which this minion does not speak: its \
             lines go to standard error alone, and from there to the journal",
            found.file().display()
        ));
        return Ok(None);
    }
    let path = match directory {
        Some(directory) if Path::new(path).is_relative() => Path::new(&directory).join(path),
        Some(_) | None => PathBuf::from(path),
    };
    Ok(Some(below(root_dir, &path)))
}

fn level(options: &mut Options, option: &'static str) -> Result<Option<Level>, ConfigError> {
    options.parsed(option, LEVELS, |text| text.parse().ok())
}

fn format<T>(
    options: &mut Options,
    option: &'static str,
    parse: impl FnOnce(&str) -> Result<T, BadFormat>,
) -> Result<Option<T>, ConfigError> {
    let Some(found) = options.take(option)? else {
        return Ok(None);
    };
    let parsed = match found.value.as_str() {
        Some("") => return Ok(None),
        Some(text) => parse(text).map_err(|error| error.to_string()),
        None => Err("a format as Python's logging has it".to_owned()),
    };
    parsed
        .map(Some)
        .map_err(|expected| found.unexpected(expected))
}

fn date_format(
    options: &mut Options,
    option: &'static str,
) -> Result<Option<DateFormat>, ConfigError> {
    options.parsed(option, "a format of strftime", |text| {
        DateFormat::parse(text).ok()
    })
}

fn granular(options: &mut Options) -> Result<Vec<(String, Level)>, ConfigError> {
    let granular = options.parse("log_granular_levels", GRANULAR, |value| {
        let levels = value.as_object()?.iter();
        levels
            .map(|(name, level)| Some((name.clone(), level.as_str()?.parse().ok()?)))
            .collect::<Option<Vec<(String, Level)>>>()
    })?;
    Ok(granular.unwrap_or_default())
}

const LEVELS: &str =
    "one of all, garbage, trace, debug, profile, info, warning, error, critical, quiet";
const GRANULAR: &str = "a mapping of module names to levels";
const DEFAULT_FILE: &str = "/var/log/salt/minion";
