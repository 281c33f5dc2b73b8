//! What somebody probably meant.
//!
//! An unknown key is refused, because a misspelt `pin_file` that is ignored is a service that
//! starts locked for no visible reason. A refusal that names the nearest known key is fixed in
//! seconds.

/// The candidate that is closest to `word`, if any is close.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 || distance.saturating_mul(3) <= word.len().max(candidate.len())
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Adds the nearest known name to serde's message about an unknown key; about an unknown value the
/// message keeps what was expected and that name, for the value may be a secret that stands at the
/// wrong place. Any other message comes back unchanged.
///
/// ```
/// let message = "unknown field `tokn_label`, expected one of `name`, `token_label`, `uri`";
/// let better = hsm_config::did_you_mean(message);
/// assert_eq!(better, format!("{message}; did you mean `token_label`?"));
/// let message = "unknown variant `jsn`, expected `json` or `text`";
/// let better = hsm_config::did_you_mean(message);
/// assert_eq!(better, "unknown value, expected `json` or `text`; did you mean `json`?");
/// ```
#[must_use]
pub fn did_you_mean(message: &str) -> String {
    let after = |start| message.split_once(start).map(|(_, rest)| rest);
    let (unknown, is_value) = match (after("unknown variant "), after("unknown field ")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return message.to_owned(),
    };
    // From the right: what is unknown is somebody's text and may itself look like a message.
    let (wrong, expected) = match unknown.rsplit_once(", expected ") {
        Some((wrong, expected)) => (wrong, Some(expected)),
        None => (unknown, None),
    };
    let told = match (is_value, expected) {
        (false, _) => message.to_owned(),
        (true, Some(expected)) => format!("unknown value, expected {expected}"),
        (true, None) => "unknown value".to_owned(),
    };
    let known: Vec<&str> = expected
        .unwrap_or_default()
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    match nearest(wrong.trim_matches('`'), &known) {
        Some(name) => format!("{told}; did you mean `{name}`?"),
        None => told,
    }
}

/// A TOML error as one line: where, what, and the nearest known name.
///
/// The error's own `Display` quotes the offending line, and the value in it may be a secret that
/// stands at the wrong place; this quotes nothing but names.
#[must_use]
pub fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = did_you_mean(&without_values(error.message()));
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count().saturating_add(1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// serde quotes the value in `invalid type: string "…", expected …`.
fn without_values(message: &str) -> String {
    let Some((kind, rest)) = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|kind| message.strip_prefix(kind).map(|rest| (kind, rest)))
    else {
        return message.to_owned();
    };
    let what = rest.split([' ', '`', '"', ',']).next().unwrap_or_default();
    match rest.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{kind}{what}, expected {expected}"),
        None => format!("{kind}{what}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Sample {
        mode: Option<Mode>,
        queue: Option<u32>,
        sessions: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Hashed,
        Raw,
    }

    fn refused(text: &str) -> String {
        explain(text, &toml::from_str::<Sample>(text).unwrap_err())
    }

    #[test]
    fn a_slip_is_named_with_its_line() {
        assert_eq!(
            refused("queue = 1\nsesions = 2\n"),
            "line 2: unknown field `sesions`, expected one of `mode`, `queue`, `sessions`; did you mean \
             `sessions`?"
        );
    }

    #[test]
    fn a_value_that_is_none_is_not_repeated_and_the_nearest_one_named() {
        assert_eq!(
            refused("mode = \"hash\"\n"),
            "line 1: unknown value, expected `hashed` or `raw`; did you mean `hashed`?"
        );
    }

    #[test]
    fn a_word_that_is_near_nothing_gets_no_advice() {
        assert_eq!(nearest("hostname", &["queue", "sessions"]), None);
        assert!(!refused("hostname = 1\n").contains("did you mean"));
    }

    #[test]
    fn values_are_not_repeated() {
        for text in [
            "mode = \"hunter2\"\n",
            "mode = \"a`, expected `hunter2`\"\n",
            "mode = \"unknown field `hunter2`, expected `a`\"\n",
            "mode = \"unknown variant hunter2\"\n",
            "queue = \"hunter2\"\n",
            "password = \"hunter2\"\n",
            "queue = [\"hunter2\"]\n",
            "queue = \"a, expected hunter2\"\n",
        ] {
            assert!(!refused(text).contains("hunter2"), "{}", refused(text));
        }
    }
}
