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

/// Adds the nearest known name to serde's message about an unknown one; any other message comes
/// back unchanged.
///
/// ```
/// let message = "unknown field `tokn_label`, expected one of `name`, `token_label`, `uri`";
/// let better = hsm_config::did_you_mean(message);
/// assert_eq!(better, format!("{message}; did you mean `token_label`?"));
/// ```
#[must_use]
pub fn did_you_mean(message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let unknown = ["unknown field ", "unknown variant "]
        .into_iter()
        .find_map(|start| message.split_once(start));
    let Some((wrong, known)) = unknown.and_then(|(_, rest)| rest.split_once(", expected ")) else {
        return message.to_owned();
    };
    let known = quoted(known);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match quoted(wrong)
        .first()
        .and_then(|wrong| nearest(wrong, &known))
    {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
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
        queue: Option<u32>,
        sessions: Option<u32>,
    }

    fn refused(text: &str) -> String {
        explain(text, &toml::from_str::<Sample>(text).unwrap_err())
    }

    #[test]
    fn a_slip_is_named_with_its_line() {
        assert_eq!(
            refused("queue = 1\nsesions = 2\n"),
            "line 2: unknown field `sesions`, expected `queue` or `sessions`; did you mean \
             `sessions`?"
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
            "queue = \"hunter2\"\n",
            "password = \"hunter2\"\n",
            "queue = [\"hunter2\"]\n",
            "queue = \"a, expected hunter2\"\n",
        ] {
            assert!(!refused(text).contains("hunter2"), "{}", refused(text));
        }
    }
}
