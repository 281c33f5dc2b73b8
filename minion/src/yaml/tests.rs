//! Values and mistakes; that they are Salt's is shown against Salt itself in `softhsm-tests`.

use serde_json::json;

use super::*;

/// A text as what reads options sees it.
fn load(text: &str) -> Result<serde_json::Value, Mistake> {
    super::load(text).map(|value| to_json(&value))
}

#[test]
fn plain_words_are_what_they_are_to_salt() {
    for (text, value) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("y", json!("y")),
        ("~", json!(null)),
        ("", json!(null)),
        ("12", json!(12)),
        ("+7", json!(7)),
        ("-5", json!(-5)),
        ("0", json!(0)),
        ("00", json!(0)),
        ("007", json!(7)),
        ("0750", json!(750)),
        ("-0750", json!(-488)),
        ("0089", json!("0089")),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("0o14", json!("0o14")),
        ("1_000", json!(1000)),
        ("1:30", json!(90)),
        ("1:75", json!("1:75")),
        ("a:1", json!("a:1")),
        ("1.50", json!(1.5)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("-.5", json!("-.5")),
        ("1e3", json!("1e3")),
        ("1.0e3", json!("1.0e3")),
        ("1.0e+3", json!(1000.0)),
        ("1:30.5", json!(90.5)),
        ("1.2.3", json!("1.2.3")),
        ("2026-11-22", json!("2026-11-22")),
        ("18446744073709551616", json!("18446744073709551616")),
        (".nan", json!("nan")),
        ("-.inf", json!("-inf")),
    ] {
        assert_eq!(load(&format!("a: {text}\n")).unwrap()["a"], value, "{text}");
    }
    for quoted in [
        "'yes'",
        "\"yes\"",
        "!!str yes",
        "! yes",
        "|-\n  yes",
        ">-\n  yes",
    ] {
        assert_eq!(
            load(&format!("a: {quoted}\n")).unwrap(),
            json!({"a": "yes"}),
            "{quoted}"
        );
    }
}

#[test]
fn anchors_and_merges_are_followed() {
    let text =
        "a: &a {x: 1, y: [2]}\nb: *a\nc: {x: 3, <<: *a}\nd: {<<: [*a, {x: 9, z: 4}], w: 5}\n";
    assert_eq!(
        load(text).unwrap(),
        json!({
            "a": {"x": 1, "y": [2]},
            "b": {"x": 1, "y": [2]},
            "c": {"x": 3, "y": [2]},
            "d": {"x": 1, "y": [2], "z": 4, "w": 5},
        })
    );
    assert_eq!(
        load("2: a\nyes: b\n~: c\n").unwrap(),
        json!({"2": "a", "True": "b", "None": "c"})
    );
}

#[test]
fn mistakes_are_named_by_line() {
    for (text, line, why) in [
        ("a: 1\nb: 2\na: 3\n", 3, Why::Twice),
        ("a: [1\n", 1, Why::Syntax),
        ("a: *b\n", 1, Why::Syntax),
        ("a: 1\n---\nb: 2\n", 2, Why::Second),
        ("a: 1\nb: !!python/object:x {}\n", 2, Why::Tag),
        ("a: !own x\n", 1, Why::Tag),
        ("a: =\n", 1, Why::Tag),
        ("1: a\ntrue: b\n", 2, Why::Twice),
        ("1.0: a\n1: b\n", 2, Why::Twice),
        ("? [a]\n: 1\n", 2, Why::Key),
        ("<<: 1\n", 1, Why::Merge),
    ] {
        assert_eq!(load(text), Err(Mistake { line, why }), "{text}");
    }
}

#[test]
fn no_text_becomes_more_than_it_is() {
    let deep = "[".repeat(1000);
    assert!(load(&deep).is_err());
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let inner = vec![format!("*a{}", level - 1); 8].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert_eq!(load(&bomb).unwrap_err().why, Why::TooMuch);
}

#[test]
fn nothing_and_comments_are_null() {
    for text in [
        "",
        "\n",
        "# a\n# b\n",
        "---\n",
        "\u{feff}# a\n",
        "--- ~\n...\n",
    ] {
        assert_eq!(load(text).unwrap(), json!(null), "{text:?}");
    }
}

#[test]
fn keys_keep_their_types() {
    let text = |text: &str| Value::from(text);
    assert_eq!(
        super::load("{1: a, '1': b, 1.5: c, ~: d}\n"),
        Ok(Value::Map(vec![
            (Value::Unsigned(1), text("a")),
            (text("1"), text("b")),
            (Value::Float(1.5), text("c")),
            (Value::Nil, text("d")),
        ]))
    );
}
