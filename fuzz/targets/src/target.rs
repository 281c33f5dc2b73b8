//! Targets: any pattern, any id.

use minion::jobs::matches;
use minion::wire::id::MinionId;
use minion::wire::publish::Target;

/// Judging ends, and by rules that hold for any pattern.
///
/// The input is the pattern and the id, with a zero byte between them.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (pattern, id) = text.split_once('\0').unwrap_or((&text, "vecminion"));
    let Ok(id) = id.replace(['/', '\\', '\0'], "").parse::<MinionId>() else {
        return;
    };
    let grains = crate::job::grains();
    let judge = |target: &Target| matches(target, &id, &grains);
    let glob = judge(&Target::Glob(pattern.to_owned()));
    if !pattern.contains(['*', '?', '[']) {
        assert_eq!(glob, pattern == id.as_str());
    }
    // A star on either side never takes a match away.
    assert!(!glob || judge(&Target::Glob(format!("*{pattern}*"))));
    let pcre = judge(&Target::Pcre(pattern.to_owned()));
    if pattern.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        assert_eq!(pcre, id.as_str().starts_with(pattern));
    }
    for delimiter in [":", "|", ""] {
        judge(&Target::Grain {
            expression: pattern.to_owned(),
            delimiter: delimiter.to_owned(),
        });
    }
}

/// Patterns of every kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let patterns = [
        "web[0-9]*\0web1",
        "[!a-c]?x*\0dax",
        "(?i)w(?P<n>e)b(?P=n)?\\d{1,3}$\0web12",
        "(?<!x)a|(b(?=c))*?[\\w-]+\0abc",
        "(?(1)a|b)(?>c+)\\x41\\101\0bc",
        "nested:a:*\0x",
        "*:*:1.5\0x",
        "roles:web\0x",
        "*\0x",
    ];
    patterns
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
