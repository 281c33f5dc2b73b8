//! Where a command's words go: answers to standard output, everything about the answer to standard
//! error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes one line of the answer.
///
/// # Errors
///
/// Fails if standard output is closed; the caller should end, not go on in silence.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Writes one line about the answer: progress, warnings, hints.
///
/// # Errors
///
/// Fails if standard error is closed.
pub fn note(line: impl Display) -> io::Result<()> {
    writeln!(io::stderr(), "{line}")
}
