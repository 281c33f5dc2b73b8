//! `clean_key` against Python, character by character.
//!
//! The lists come from Python 3.11.7, over all characters `c` that are not surrogates:
//! `len(("a" + c + "b").splitlines()) == 2` and `(c + "a" + c).strip() == "a"`.

use minion::verify::clean_key;

const LINE_BREAKS: [char; 10] = [
    '\n', '\u{b}', '\u{c}', '\r', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

const STRIPPED: [char; 29] = [
    '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', ' ', '\u{85}',
    '\u{a0}', '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}',
    '\u{2006}', '\u{2007}', '\u{2008}', '\u{2009}', '\u{200a}', '\u{2028}', '\u{2029}', '\u{202f}',
    '\u{205f}', '\u{3000}',
];

#[test]
fn every_character_is_split_at_and_stripped_as_in_python() {
    for c in '\0'..=char::MAX {
        let inside = if LINE_BREAKS.contains(&c) { '\n' } else { c };
        assert_eq!(clean_key(&format!("a{c}b")), format!("a{inside}b"), "{c:?}");
        let around = format!("{c}a{c}");
        let expected = if STRIPPED.contains(&c) { "a" } else { &around };
        assert_eq!(clean_key(&around), expected, "{c:?}");
    }
}

#[test]
fn texts_come_out_as_from_python() {
    // "\n".join(text.strip().splitlines()), Python 3.11.7.
    for (text, cleaned) in [
        ("", ""),
        ("\r\n", ""),
        ("a\r\nb\r\n", "a\nb"),
        ("a\r\rb", "a\n\nb"),
        ("a\n\rb", "a\n\nb"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("a \n b", "a \n b"),
        ("\u{feff}a\n", "\u{feff}a"),
        ("\u{b}a\u{b} b\u{c}", "a\n b"),
        ("a\u{1f}b", "a\u{1f}b"),
        ("a\u{1c}\u{1d}\u{1e}b", "a\n\n\nb"),
        ("\u{85}a\u{85}b\u{85}", "a\nb"),
        ("a\u{2028}\u{2029}b", "a\n\nb"),
    ] {
        assert_eq!(clean_key(text), cleaned, "{text:?}");
    }
}

#[test]
fn cleaning_twice_changes_nothing() {
    for text in ["\r\n a \r b\u{2028}", "\u{1f}a\u{1f}", "a\n\u{b}"] {
        let once = clean_key(text);
        assert_eq!(clean_key(&once), once, "{text:?}");
    }
}
