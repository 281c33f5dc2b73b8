//! Where a command's words go: answers to standard output, everything about the answer to standard
//! error.
//!
//! Both know whether a person looks at them. Colours are for a terminal only, and never the only
//! way in which something is said; `--color`, `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` decide
//! otherwise.

mod progress;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};

pub use progress::Progress;

/// Writes one line of the answer.
///
/// # Errors
///
/// Fails if standard output is closed; the caller should end, not go on in silence. If that is
/// because the reader has seen enough, [`has_seen_enough`] tells.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}").map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(error.kind(), Enough),
        _ => error,
    })
}

/// Whether a command failed because whoever read its answer stopped reading, as `head` does; there is
/// nothing to say about that, and nobody to say it to.
#[must_use]
pub fn has_seen_enough(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    let inner = error.and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<Enough>())
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the reader of the answer is gone")]
struct Enough;

/// Writes one line about the answer: progress, warnings, hints.
///
/// # Errors
///
/// Fails if standard error is closed.
pub fn note(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stderr(), "{line}")
}

/// Writes why a command did not do what it was asked for.
///
/// # Errors
///
/// Fails if standard error is closed.
pub fn refuse(why: impl Display) -> io::Result<()> {
    note(format_args!("{} {why}", Paint::Red.on(NAME)))
}

/// What a child that runs this program too wrote by [`refuse`], without the program's name.
#[must_use]
pub fn refusal(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let said = anstream::adapter::strip_str(&said).to_string();
    let said = said.trim();
    said.strip_prefix(NAME).unwrap_or(said).trim().to_owned()
}

/// Whether standard error shows colours.
#[must_use]
pub fn has_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// When colours are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colours {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Also into a file or a pipe.
    Always,
    /// Nowhere.
    Never,
}

impl Colours {
    /// Reads `--color` before the command line is parsed, because what is wrong with the rest of it
    /// is said in colours as well; what is wrong with this one is found by the parser.
    #[must_use]
    pub fn among(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut arguments = arguments
            .into_iter()
            .take_while(|argument| argument != "--");
        let mut chosen = Self::default();
        while let Some(argument) = arguments.next() {
            let value = match argument
                .to_str()
                .and_then(|text| text.strip_prefix("--color"))
            {
                Some("") => arguments.next(),
                Some(rest) => rest.strip_prefix('=').map(OsString::from),
                None => None,
            };
            match value.as_deref().and_then(OsStr::to_str) {
                Some("always") => chosen = Self::Always,
                Some("auto") => chosen = Self::Auto,
                Some("never") => chosen = Self::Never,
                Some(_) | None => {}
            }
        }
        chosen
    }

    /// Makes it so for this process.
    pub fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }

    /// The same for the parser of the command line.
    #[must_use]
    pub const fn of_clap(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

/// A colour for a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Turned down, for now, or not looked at.
    Blue,
    /// As it should be.
    Green,
    /// Not decided, and suspicious.
    Magenta,
    /// Wrong, or waiting for somebody.
    Red,
    /// To be looked at.
    Yellow,
}

impl Paint {
    /// The text in this colour. It is taken off again where there are none.
    pub const fn on<T>(self, text: T) -> Painted<T> {
        Painted { paint: self, text }
    }
}

/// A text in a colour.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    paint: Paint,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { paint, text } = self;
        let colour = match paint {
            Paint::Blue => AnsiColor::BrightBlue,
            Paint::Green => AnsiColor::BrightGreen,
            Paint::Magenta => AnsiColor::BrightMagenta,
            Paint::Red => AnsiColor::BrightRed,
            Paint::Yellow => AnsiColor::BrightYellow,
        };
        let style = Style::new().fg_color(Some(colour.into()));
        write!(f, "{style}{text}{style:#}")
    }
}

const NAME: &str = "mastersign:";

#[cfg(test)]
mod tests {
    use super::*;

    fn among(line: &str) -> Colours {
        Colours::among(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_choice_is_found_wherever_it_stands() {
        for (line, expected) in [
            ("mastersign masters -L", Colours::Auto),
            ("mastersign --color never masters", Colours::Never),
            ("mastersign masters -L --color=always", Colours::Always),
            ("mastersign --color always x --color=never", Colours::Never),
            ("mastersign --color sometimes", Colours::Auto),
            ("mastersign --colorful never", Colours::Auto),
            ("mastersign x -- --color=never", Colours::Auto),
            ("mastersign --color", Colours::Auto),
        ] {
            assert_eq!(among(line), expected, "{line}");
        }
    }

    #[test]
    fn a_childs_refusal_is_read_with_and_without_colours() {
        let painted = format!("{} no token\n", Paint::Red.on(NAME));
        for said in [painted.as_str(), "mastersign: no token\n", " no token"] {
            assert_eq!(refusal(said.as_bytes()), "no token");
        }
    }

    #[test]
    fn only_a_reader_that_left_has_seen_enough() {
        let pipe = io::ErrorKind::BrokenPipe;
        let left = anyhow::Error::from(io::Error::new(pipe, Enough));
        assert!(has_seen_enough(&left));
        // Another pipe, to a worker for example.
        assert!(!has_seen_enough(&io::Error::from(pipe).into()));
        assert!(!has_seen_enough(&anyhow::anyhow!("no token")));
    }

    #[test]
    fn a_painted_word_ends_its_colour() {
        assert_eq!(
            Paint::Green.on("good").to_string(),
            "\u{1b}[92mgood\u{1b}[0m"
        );
    }
}
