//! Python's `%`-format of a log line.
//!
//! Salt hands `log_fmt_*` to Python's `logging.Formatter`, which formats the attributes of a record
//! by name: `%(levelname)-8s` is text padded to eight columns on the right, `%(msecs)03d` a number
//! with leading zeros. Salt adds attributes in brackets and in colour (Salt 3008.5,
//! `salt/_logging/impl.py`, `SaltLogRecord` and `SaltColorLogRecord`).

use std::fmt::{self, Write};

use super::escape::{Escaped, Message};
use super::record::Record;
use super::{DateFormat, Level};

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    text: String,
    parts: Vec<Part>,
    /// What `%(jid)s` stands for.
    jid: JidFormat,
}

/// `log_fmt_jid`: how the job is named that a line is about.
///
/// Salt 3008.5, `salt/_logging/impl.py`, `SaltLoggingClass.makeRecord`; `%(jid)s` of a line about no job
/// is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JidFormat(Vec<Part>);

impl JidFormat {
    /// Parses one.
    ///
    /// # Errors
    ///
    /// As [`Format::parse`], and the only attribute is `%(jid)s`.
    pub fn parse(text: &str) -> Result<Self, BadFormat> {
        let parts = parts(text)?;
        let other = parts.iter().any(
            |part| matches!(part, Part::Attribute(attribute, _) if *attribute != Attribute::Jid),
        );
        match other {
            true => Err(BadFormat::NotJid),
            false => Ok(Self(parts)),
        }
    }

    fn text(&self, jid: &str) -> String {
        let mut text = String::new();
        for part in self.0.iter().filter(|_| !jid.is_empty()) {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Attribute(_, layout) => layout.push(&mut text, jid),
            }
        }
        text
    }
}

impl Default for JidFormat {
    /// Salt's `DFLT_LOG_FMT_JID`: `[JID: %(jid)s]`.
    fn default() -> Self {
        let jid = Part::Attribute(Attribute::Jid, Layout::default());
        let literal = |text: &str| Part::Literal(text.to_owned());
        Self(vec![literal("[JID: "), jid, literal("]")])
    }
}

impl Format {
    /// Parses a format.
    ///
    /// # Errors
    ///
    /// Names what Python would fail on at every line, or an attribute that no record has here.
    pub fn parse(text: &str) -> Result<Self, BadFormat> {
        Ok(Self {
            parts: parts(text)?,
            text: text.to_owned(),
            jid: JidFormat::default(),
        })
    }

    /// The same, where `%(jid)s` is written so.
    #[must_use]
    pub fn with_jid(self, jid: JidFormat) -> Self {
        Self { jid, ..self }
    }

    /// Salt's `log_fmt_console` where none is configured.
    #[must_use]
    pub fn console() -> Self {
        Self::stock("[%(levelname)-8s] %(message)s")
    }

    /// Salt's `log_fmt_logfile` where none is configured.
    #[must_use]
    pub fn logfile() -> Self {
        Self::stock(
            "%(asctime)s,%(msecs)03d [%(name)-17s:%(lineno)-4d][%(levelname)-8s][%(process)d] \
             %(message)s",
        )
    }

    fn stock(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self {
            text: text.to_owned(),
            parts: Vec::new(),
            jid: JidFormat::default(),
        })
    }

    /// The line without its end.
    pub(super) fn line(&self, record: &Record, dates: &DateFormat) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => line.push_str(text),
                Part::Attribute(attribute, layout) => {
                    let text = match attribute {
                        Attribute::Jid => self.jid.text(&Escaped(&record.jid).to_string()),
                        other => other.text(record, dates),
                    };
                    layout.push(&mut line, &text);
                }
            }
        }
        line
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is no format of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFormat {
    /// A name that no record has.
    #[error("a format without %({0})s, which this minion's lines do not have")]
    Attribute(String),
    /// A `%` that begins nothing.
    #[error("a format in which each % is %% or %(name) with a conversion: s, d or f")]
    Conversion,
    /// Another attribute in `log_fmt_jid`.
    #[error("a format in which %(jid)s is the only attribute")]
    NotJid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Attribute(Attribute, Layout),
}

/// How a value fills its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layout {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    decimals: bool,
}

impl Layout {
    fn push(self, line: &mut String, value: &str) {
        let value: String = match self.precision {
            Some(most) if !self.decimals => value.chars().take(most).collect(),
            Some(_) | None => value.to_owned(),
        };
        let fill = self.width.saturating_sub(value.chars().count());
        let zeros = self.zeros && !self.left;
        let before = if self.left { 0 } else { fill };
        line.extend(std::iter::repeat_n(if zeros { '0' } else { ' ' }, before));
        line.push_str(&value);
        line.extend(std::iter::repeat_n(' ', fill.saturating_sub(before)));
    }
}

macro_rules! attributes {
    ($($variant:ident $name:literal,)*) => {
        /// What a record has, under Python's and Salt's names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Attribute { $($variant,)* }

        impl Attribute {
            fn by_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

attributes! {
    AscTime "asctime",
    BracketLevel "bracketlevel",
    BracketName "bracketname",
    BracketProcess "bracketprocess",
    ColorLevel "colorlevel",
    ColorMessage "colormsg",
    ColorName "colorname",
    ColorProcess "colorprocess",
    Created "created",
    FileName "filename",
    FunctionName "funcName",
    Jid "jid",
    LevelName "levelname",
    LevelNumber "levelno",
    LineNumber "lineno",
    Message "message",
    MinionId "minion_id",
    Module "module",
    Milliseconds "msecs",
    Name "name",
    PathName "pathname",
    Process "process",
    ProcessName "processName",
    ThreadName "threadName",
}

impl Attribute {
    fn text(self, record: &Record, dates: &DateFormat) -> String {
        let level = record.level.name().to_uppercase();
        let Record { name, process, .. } = record;
        match self {
            Self::AscTime => dates.write(&record.time),
            Self::BracketLevel => format!("[{level:<8}]"),
            Self::BracketName => format!("[{name:<17}]"),
            Self::BracketProcess => format!("[{process:>5}]"),
            Self::ColorLevel => format!("{}[{level:<8}]{RESET}", color(record.level).0),
            Self::ColorMessage => format!("{}{}{RESET}", color(record.level).1, message(record)),
            Self::ColorName => format!("{BOLD_GREEN}[{name:<17}]{RESET}"),
            Self::ColorProcess => format!("{BOLD_BLUE}[{process:>5}]{RESET}"),
            Self::Created => {
                let time = record.time.timestamp();
                format!("{}.{:06}", time.as_second(), time.subsec_microsecond())
            }
            Self::FileName => file_name(record.file).to_owned(),
            Self::LevelName => level,
            Self::LevelNumber => record.level.number().to_string(),
            Self::LineNumber => record.line.to_string(),
            Self::Message => message(record),
            Self::Module => file_name(record.file).trim_end_matches(".rs").to_owned(),
            Self::Milliseconds => record.time.millisecond().to_string(),
            Self::Name => name.clone(),
            Self::PathName => record.file.to_owned(),
            Self::Process => process.to_string(),
            Self::ProcessName => "MainProcess".to_owned(),
            Self::ThreadName => "MainThread".to_owned(),
            Self::Jid => record.jid.clone(),
            // Python's records have a function, and Salt's masters fill in the other.
            Self::FunctionName | Self::MinionId => String::new(),
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The message, and behind it what else the event says.
fn message(record: &Record) -> String {
    let mut text = Message(&record.message).to_string();
    for (name, value) in &record.fields {
        if write!(text, " {name}={}", Escaped(value)).is_err() {
            break;
        }
    }
    text
}

fn parts(text: &str) -> Result<Vec<Part>, BadFormat> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('%') {
        push_literal(&mut parts, literal);
        rest = match after.strip_prefix('%') {
            Some(after) => {
                push_literal(&mut parts, "%");
                after
            }
            None => {
                let (part, after) = attribute(after)?;
                parts.push(part);
                after
            }
        };
    }
    push_literal(&mut parts, rest);
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(last)) => last.push_str(text),
        Some(Part::Attribute(..)) | None => parts.push(Part::Literal(text.to_owned())),
    }
}

/// Reads `(name)`, flags, width, precision and conversion.
fn attribute(text: &str) -> Result<(Part, &str), BadFormat> {
    let named = text.strip_prefix('(').and_then(|text| text.split_once(')'));
    let (name, mut rest) = named.ok_or(BadFormat::Conversion)?;
    let mut layout = Layout::default();
    while let Some(flag) = rest.chars().next().filter(|c| "-0 +#".contains(*c)) {
        layout.left |= flag == '-';
        layout.zeros |= flag == '0';
        rest = rest.get(1..).unwrap_or_default();
    }
    (layout.width, rest) = number(rest);
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = number(after);
        layout.precision = Some(precision);
        rest = after;
    }
    layout.decimals = rest.starts_with(['d', 'i', 'f']);
    let after = rest.strip_prefix(['s', 'd', 'i', 'f']);
    let after = after.ok_or(BadFormat::Conversion)?;
    let attribute =
        Attribute::by_name(name).ok_or_else(|| BadFormat::Attribute(name.to_owned()))?;
    Ok((Part::Attribute(attribute, layout), after))
}

/// Digits at the beginning; more than fit on any screen count as that.
fn number(text: &str) -> (usize, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    (digits.parse().unwrap_or(0).min(MOST_COLUMNS), rest)
}

/// Bracket and message: Salt 3008.5, `salt/_logging/impl.py`, `LOG_COLORS`.
const fn color(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Quiet | Level::All => (RESET, RESET),
        Level::Critical => ("\x1b[0;1;31m", "\x1b[0;1;31m"),
        Level::Error => ("\x1b[0;1;31m", "\x1b[0;31m"),
        Level::Warning => ("\x1b[0;1;33m", "\x1b[0;33m"),
        Level::Info => (BOLD_GREEN, "\x1b[0;32m"),
        Level::Profile => ("\x1b[0;1;36m", "\x1b[0;1;36m"),
        Level::Debug => ("\x1b[0;1;36m", "\x1b[0;36m"),
        Level::Trace => ("\x1b[0;1;35m", "\x1b[0;35m"),
        Level::Garbage => (BOLD_BLUE, "\x1b[0;34m"),
    }
}

const RESET: &str = "\x1b[0;0m";
const BOLD_GREEN: &str = "\x1b[0;1;32m";
const BOLD_BLUE: &str = "\x1b[0;1;34m";
const MOST_COLUMNS: usize = 1000;

#[cfg(test)]
mod tests;
