//! The grains of this very machine, as each Salt and as we see them.

use std::collections::BTreeSet;

use minion::grains::{Inputs, collect};
use minion::wire::msgpack::Value;
use softhsm_tests::salt::Version;

use super::reference::{ID, Keys, ask, job, returned};

#[test]
fn every_grain_has_the_value_that_it_has_in_every_salt() {
    let inputs = Inputs {
        id: &ID.parse().unwrap(),
        master: "localhost",
        configured: &Value::Nil,
    };
    let Value::Map(ours) = collect(&inputs) else {
        panic!("a map");
    };
    let keys = Keys::generate();
    for version in Version::ALL {
        let load = Value::map([
            ("fun", "grains.items".into()),
            ("arg", Value::Array(Vec::new())),
            ("jid", "20261125220000000001".into()),
            ("ret", "".into()),
        ]);
        let answers = ask(version, &keys, &[job(&load)]);
        let Some(Value::Map(theirs)) = returned(&answers[0]).take("return") else {
            panic!("a map");
        };
        let mut compared = 0;
        for (name, value) in &ours {
            let text = name.as_text().unwrap();
            if matches!(text, "mastersign_version" | "pid") {
                // One is ours alone; the processes are two.
                continue;
            }
            let same = theirs.iter().find(|(known, _)| known == name);
            let Some((_, expected)) = same else {
                panic!("Salt {version} has no grain {text}");
            };
            assert_eq!(
                ordered(text, value),
                ordered(text, expected),
                "Salt {version}: {text}"
            );
            compared += 1;
        }
        assert!(compared > 35, "only {compared} grains were compared");
    }
}

#[test]
fn configured_grains_stand_above_what_is_found_out() {
    let configured = Value::map([
        ("os", "Ours".into()),
        ("roles", Value::Array(vec!["web".into()])),
    ]);
    let inputs = Inputs {
        id: &ID.parse().unwrap(),
        master: "localhost",
        configured: &configured,
    };
    let Value::Map(grains) = collect(&inputs) else {
        panic!("a map");
    };
    let all = |name: &str| -> Vec<_> {
        let found = grains.iter().filter(|(key, _)| *key == name.into());
        found.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(all("os"), ["Ours".into()]);
    assert_eq!(all("roles"), [Value::Array(vec!["web".into()])]);
}

/// Python makes a set of the host's own addresses and the kernel's maps have no order.
fn ordered(name: &str, value: &Value) -> Value {
    let by_text = |value: &Value| format!("{value:?}");
    match value {
        Value::Array(items) if name.starts_with("fqdn_ip") => {
            let items: BTreeSet<_> = items.iter().map(by_text).collect();
            Value::Array(items.iter().map(|item| item.as_str().into()).collect())
        }
        Value::Map(entries) => {
            let mut entries = entries.clone();
            entries.sort_by_key(|(key, _)| by_text(key));
            Value::Map(entries)
        }
        value => value.clone(),
    }
}
