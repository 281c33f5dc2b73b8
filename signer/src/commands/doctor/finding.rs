//! What was found: a tree in which the worst rises.

use serde_json::{Value, json};

use crate::terminal::Paint;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Good,
    /// It could not be looked at from here.
    NotJudged,
    /// It works; something should be done.
    Warning,
    /// It does not work, or is not safe.
    Failure,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotJudged => "not judged",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }

    const fn paint(self) -> Paint {
        match self {
            Self::Good => Paint::Green,
            Self::NotJudged => Paint::Blue,
            Self::Warning => Paint::Yellow,
            Self::Failure => Paint::Red,
        }
    }
}

/// One finding with those that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    own: Level,
    what: String,
    detail: String,
    fix: Option<String>,
    parts: Vec<Self>,
}

impl Finding {
    /// A group; it is as bad as the worst in it.
    pub(super) fn group(what: &str, parts: Vec<Self>) -> Self {
        let mut parts = parts;
        // Stable: what is equally bad stays in the order in which it was looked at.
        parts.sort_by_key(|part| std::cmp::Reverse(part.level()));
        Self {
            own: Level::Good,
            what: what.to_owned(),
            detail: String::new(),
            fix: None,
            parts,
        }
    }

    pub(super) fn good(what: &str, detail: impl Into<String>) -> Self {
        Self::new(Level::Good, what, detail.into(), None)
    }

    /// With the reason why it could not be looked at.
    pub(super) fn not_judged(what: &str, why: impl Into<String>) -> Self {
        Self::new(Level::NotJudged, what, why.into(), None)
    }

    pub(super) fn warning(what: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Warning, what, detail.into(), Some(fix.into()))
    }

    pub(super) fn failure(what: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Failure, what, detail.into(), Some(fix.into()))
    }

    fn new(own: Level, what: &str, detail: String, fix: Option<String>) -> Self {
        Self {
            own,
            what: what.to_owned(),
            detail,
            fix,
            parts: Vec::new(),
        }
    }

    /// How bad it is with everything in it.
    pub(super) fn level(&self) -> Level {
        let parts = self.parts.iter().map(Self::level).max();
        parts.map_or(self.own, |worst| worst.max(self.own))
    }

    /// As [`painted`](Self::painted), without colours.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0, &|level| level.word().to_owned());
        text
    }

    /// The tree for people: state by word and colour, the fix below what it is for.
    pub(super) fn painted(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0, &|level| {
            level.paint().on(level.word()).to_string()
        });
        text
    }

    fn write(&self, text: &mut String, depth: usize, word: &dyn Fn(Level) -> String) {
        let margin = "  ".repeat(depth);
        let detail = if self.detail.is_empty() {
            String::new()
        } else {
            format!(": {}", self.detail)
        };
        let level = word(self.level());
        text.push_str(&format!("{margin}[{level}] {}{detail}\n", self.what));
        if let Some(fix) = &self.fix {
            for line in fix.lines() {
                text.push_str(&format!("{margin}    → {line}\n"));
            }
        }
        for part in &self.parts {
            part.write(text, depth.saturating_add(1), word);
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "level": self.level().word(),
            "what": self.what,
            "detail": self.detail,
            "fix": self.fix,
            "parts": self.parts.iter().map(Self::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_rises_and_stands_on_top() {
        let tree = Finding::group(
            "all",
            vec![
                Finding::good("a", "1"),
                Finding::group(
                    "b",
                    vec![
                        Finding::good("c", ""),
                        Finding::failure("d", "2", "mend\nit"),
                    ],
                ),
                Finding::warning("e", "3", "look"),
            ],
        );
        assert_eq!(tree.level(), Level::Failure);
        assert_eq!(
            tree.text(),
            "[failure] all\n  [failure] b\n    [failure] d: 2\n        → mend\n        → it\n    \
             [good] c\n  [warning] e: 3\n      → look\n  [good] a: 1\n"
        );
        assert!(
            tree.painted()
                .starts_with("[\u{1b}[91mfailure\u{1b}[0m] all\n")
        );
        assert_eq!(tree.json()["parts"][0]["parts"][0]["fix"], "mend\nit");
    }

    #[test]
    fn what_was_not_looked_at_is_not_good_and_no_warning_either() {
        let parts = |more: Vec<Finding>| {
            let known = vec![
                Finding::good("a", "1"),
                Finding::not_judged("b", "not looked at"),
            ];
            Finding::group("all", [known, more].concat())
        };
        let tree = parts(vec![]);
        assert_eq!(
            tree.text(),
            "[not judged] all\n  [not judged] b: not looked at\n  [good] a: 1\n"
        );
        assert_eq!(tree.json()["parts"][0]["level"], "not judged");
        let tree = parts(vec![Finding::warning("c", "", "look")]);
        assert_eq!(tree.level(), Level::Warning);
    }

    #[test]
    fn nothing_found_is_good() {
        assert_eq!(Finding::group("all", Vec::new()).level(), Level::Good);
    }
}
