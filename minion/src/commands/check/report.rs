//! What `check` found, for people and for programs.

use serde_json::{Value, json};

use super::Checked;
use crate::agent::Verdict;
use crate::log::Escaped;

/// A line for each master.
pub(super) fn lines(checked: &[Checked]) -> Vec<String> {
    let widest = checked.iter().map(|(master, _)| master.name.len()).max();
    let width = widest.unwrap_or_default();
    let line = |(master, verdict): &Checked| {
        let name = &master.name;
        let words = match verdict {
            Verdict::Verifies(found) => format!("verifies: key {}", found.key),
            Verdict::NotAccepted(reason) => {
                format!("cannot judge: not accepted: {}", Escaped(reason))
            }
            Verdict::DoesNotVerify(reason) => format!("does NOT verify: {}", Escaped(reason)),
            Verdict::Unreachable(reason) => format!("cannot be reached: {}", Escaped(reason)),
            Verdict::Broken(reason) => format!("not asked: {}", Escaped(reason)),
        };
        format!("{name:<width$}  {words}")
    };
    checked.iter().map(line).collect()
}

/// One object for all.
pub(super) fn document(id: &str, checked: &[Checked]) -> Value {
    let masters = checked.iter().map(|(master, verdict)| {
        let (name, state) = (&master.name, state(verdict));
        match verdict {
            Verdict::Verifies(found) => json!({
                "master": name,
                "state": state,
                "address": found.address.to_string(),
                "public_key_sha256": found.key.to_string(),
                "publish_port": found.publish_port.get(),
            }),
            Verdict::NotAccepted(reason)
            | Verdict::DoesNotVerify(reason)
            | Verdict::Unreachable(reason)
            | Verdict::Broken(reason) => json!({
                "master": name,
                "state": state,
                "reason": reason,
            }),
        }
    });
    json!({ "id": id, "masters": masters.collect::<Vec<_>>() })
}

/// The verdict in a word, the same in every form.
pub(super) const fn state(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Verifies(_) => "verifies",
        Verdict::NotAccepted(_) => "not_accepted",
        Verdict::DoesNotVerify(_) => "does_not_verify",
        Verdict::Unreachable(_) => "unreachable",
        Verdict::Broken(_) => "broken",
    }
}

/// Every word that [`state`] has.
pub(super) const STATES: [&str; 5] = [
    "verifies",
    "not_accepted",
    "does_not_verify",
    "unreachable",
    "broken",
];

/// The exit code: the gravest that applies.
///
/// 42 is what Salt's minion ends with at a fingerprint that does not match, 77 (`EX_NOPERM`) what
/// it ends with when it is rejected, 69 is `EX_UNAVAILABLE`.
pub(super) fn code(checked: &[Checked]) -> u8 {
    let codes = [
        ("broken", 1),
        ("does_not_verify", 42),
        ("not_accepted", 77),
        ("unreachable", 69),
    ];
    let applies = |word: &str| checked.iter().any(|(_, verdict)| state(verdict) == word);
    let found = codes.into_iter().find(|(word, _)| applies(word));
    found.map_or(0, |(_, code)| code)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::agent::Found;
    use crate::config::Master;
    use crate::verify::KeyHash;

    pub(in super::super) fn all() -> Vec<Checked> {
        let found = Found {
            address: "10.0.0.1:4506".parse().unwrap(),
            key: KeyHash::new([7; 32]),
            publish_port: 4505.try_into().unwrap(),
        };
        [
            ("a", Verdict::Verifies(found)),
            ("beta", Verdict::NotAccepted("pending\u{1b}".into())),
            ("c", Verdict::DoesNotVerify("forged".into())),
            ("d", Verdict::Unreachable("refused".into())),
            ("e", Verdict::Broken("unreadable".into())),
        ]
        .map(|(name, verdict)| {
            let master = Master {
                name: name.into(),
                host: name.into(),
                port: 4506.try_into().unwrap(),
            };
            (master, verdict)
        })
        .into()
    }

    #[test]
    fn the_gravest_finding_is_the_exit_code() {
        let [verifies, pending, forged, silent, broken] = all().try_into().unwrap();
        let all = [&broken, &forged, &pending, &silent, &verifies];
        for (from, expected) in [1, 42, 77, 69, 0].into_iter().enumerate() {
            let rest: Vec<Checked> = all[from..].iter().map(|one| (*one).clone()).collect();
            assert_eq!(code(&rest), expected);
        }
    }

    #[test]
    fn people_see_a_line_for_each_master_without_control_characters() {
        let lines = lines(&all());
        assert_eq!(lines[0], format!("a     verifies: key {}", "07".repeat(32)));
        assert_eq!(lines[1], "beta  cannot judge: not accepted: pending\\u{1b}");
        assert_eq!(lines[2], "c     does NOT verify: forged");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn programs_get_every_field() {
        let document = document("m1", &all());
        assert_eq!(document["id"], "m1");
        let masters = document["masters"].as_array().unwrap();
        assert_eq!(masters[0]["state"], "verifies");
        assert_eq!(masters[0]["address"], "10.0.0.1:4506");
        assert_eq!(masters[0]["publish_port"], 4505);
        assert_eq!(masters[2]["reason"], "forged");
        let states: Vec<_> = masters
            .iter()
            .map(|one| one["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, STATES);
    }
}
