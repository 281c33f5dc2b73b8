//! Text from somebody else, so that no line of a log can be forged and no terminal be steered.

use std::fmt;

/// Text with control characters, and what hides or reorders text, written as `\u{..}`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '"' | '\'' | '\\' => write!(f, "{character}"),
            other => write!(f, "{}", other.escape_debug()),
        })
    }
}

/// A message, whose line breaks are its own.
pub(super) struct Message<'a>(pub(super) &'a str);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.split('\n');
        if let Some(first) = lines.next() {
            Escaped(first).fmt(f)?;
        }
        lines.try_for_each(|line| write!(f, "\n{}", Escaped(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_is_one_line_without_control_characters() {
        let text = "a\nINFO \u{1b}[2Jforged\u{9b}31m \u{202e}x \"q\" é \\";
        assert_eq!(
            Escaped(text).to_string(),
            "a\\nINFO \\u{1b}[2Jforged\\u{9b}31m \\u{202e}x \"q\" é \\"
        );
        assert_eq!(
            Message("one\ntwo\r\u{1b}").to_string(),
            "one\ntwo\\r\\u{1b}"
        );
    }
}
