//! Every kind of target, on written and on seeded random cases.

use minion::jobs::matches;
use minion::wire::id::MinionId;
use minion::wire::msgpack::{Value, encode};
use minion::wire::publish::Target;
use serde_json::{Value as Json, json};
use softhsm_tests::salt::Version;

use super::reference::{Keys, ask};

#[test]
fn globs_match_as_in_every_salt() {
    let mut cases = Vec::new();
    for pattern in [
        "*",
        "",
        "web*",
        "*.example",
        "web?.example",
        "web[0-9]*",
        "web[!0-9]*",
        "[a-c-e]x",
        "[--0]",
        "[a-]",
        "[!-a]",
        "[b-a]",
        "[!b-a]",
        "[]a]",
        "[!]a]",
        "[",
        "[a",
        "a]",
        "{a,b}",
        "\\*",
        "**",
        "*?*",
        "[^a]",
        "[[a]",
        "[a&&b]",
        "W*",
        "web1.example\n",
        "*\n",
        "[!",
        "[!]",
        "[]",
        "é*",
    ] {
        for id in [
            "web1.example",
            "a",
            "b",
            "^",
            "&",
            "-",
            "[",
            "]",
            "web1.example\n",
            "é1",
            "{a,b}",
        ] {
            cases.push(case("glob", pattern, id, &Value::Nil));
        }
    }
    let mut random = Random(1);
    for _ in 0..3000 {
        let (pattern, id) = (
            random.text(b"ab-!]*?[^", 0, 8),
            random.text(b"ab-]^[", 1, 6),
        );
        cases.push(case("glob", &pattern, &id, &Value::Nil));
    }
    compare(&cases);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn regular_expressions_match_as_in_every_salt() {
    let mut cases = Vec::new();
    for pattern in [
        "",
        "web",
        "eb",
        "web\\d",
        "web\\d$",
        "web[0-9]+\\.example$",
        "^web",
        "$",
        "\\Aweb1",
        "web1.example\\Z",
        "(?i)WEB",
        "(?i:WEB)1",
        "(?-i:WEB)1",
        "(?m)web$",
        "(?m)w\\n?^b",
        "(?m)^web",
        "web(?!2)",
        "web(?=1)",
        "(?<!x)web",
        "(?<=w)eb",
        "(w)(e)\\2",
        "(?P<w>w)(?P=w)?eb",
        "(?:web|db)1",
        "(w)?(?(1)eb|x)",
        "web{1}1",
        "we{,2}b",
        "w{2,1}",
        "we{b",
        "web{",
        "we{1,2}b",
        "[[a]",
        "[a&&b]w",
        "[w&&e]",
        "[a--w]",
        "[~~w]",
        "[\\w]",
        "[\\s\\S]",
        "[^\\d]",
        "[]w]",
        "[^]w]",
        "\\x77",
        "\\167",
        "\\u0077",
        "\\U00000077",
        "\\q",
        "\\h",
        "\\K",
        "\\z",
        "\\p{L}",
        "\\w+",
        "a**",
        "w*?e",
        "w*+e",
        "w++eb",
        "w+?+",
        "(?>w)eb",
        "(?#c)web",
        "(?#",
        "(",
        ")",
        "*",
        "+a",
        "x|*",
        "w|",
        "|x",
        "[z-a]",
        "[\\d-z]",
        "[a-\\d]",
        "\\1",
        "(\\1)",
        "(?P<a>w)(?P<a>e)",
        "(?P=b)",
        "(?P<1>w)",
        "(?2)",
        "(?R)",
        "\\bweb\\b",
        "\\Bb",
        "web1\\.example(\\n)?$",
        "w.b",
        "(?s)w.b",
        "^^web",
        "\\b*",
        "$*",
        "\\0",
        "\\8",
        "(?i)w(?i)e",
        "w(?i)",
        "(?iu)W",
        "web1$\\n?",
        "é",
        "(?i)É",
        "[[:alpha:]]+",
        "[é-ü]",
        "\\N{DASH}",
        "(?=w)*eb",
        "(a|b|w)+?e",
        "{1}",
        "x{0}web",
        "web(?:1|2){1}\\.",
        "\\.*",
        "[.]*w",
        "w\\/?eb",
        "\\-?w",
    ] {
        for id in [
            "web1.example",
            "web2",
            "w\nb",
            "[",
            "&",
            "a",
            "ébc",
            "Web1",
            "web1.example\n",
        ] {
            cases.push(case("pcre", pattern, id, &Value::Nil));
        }
    }
    let mut random = Random(2);
    for _ in 0..3000 {
        let pattern = random.text(b"aab|()*+?.[]^$\\bd{1,2}-", 0, 9);
        let id = random.text(b"ab1-", 1, 6);
        cases.push(case("pcre", &pattern, &id, &Value::Nil));
    }
    compare(&cases);
}

#[test]
fn lists_match_as_in_every_salt() {
    let mut cases = Vec::new();
    for target in [
        "a", "a,b", "b,a", "b,a,c", "ab", "", ",", "a,", " a", "A", "b a",
    ] {
        cases.push(case("list", target, "a", &Value::Nil));
    }
    for target in [
        json!(["a"]),
        json!([]),
        json!(["b", "a"]),
        json!(["ab"]),
        json!(["a,b"]),
    ] {
        let mut case = case("list", "", "a", &Value::Nil);
        case["target"] = target;
        cases.push(case);
    }
    compare(&cases);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn grains_match_as_in_every_salt() {
    let grains = grains();
    let mut cases = Vec::new();
    for target in [
        "os:Debian",
        "os:debian",
        "os:D*",
        "os:Ubuntu",
        "os",
        "os:",
        ":os",
        "os:*",
        "none:None",
        "none:*",
        "yes:true",
        "yes:True",
        "num:5",
        "num:5.0",
        "flo:1.5",
        "flo:1*",
        "roles:web",
        "roles:WEB",
        "roles:w?b",
        "roles:db*",
        "roles:0",
        "roles:0:web",
        "roles:*",
        "roles:-1:db1",
        "empty:*",
        "nothing:*",
        "nested:a:b:c",
        "nested:a:b:*",
        "nested:a:*",
        "nested:a",
        "nested:a:b",
        "nested:*:b:c",
        "nested:*:*:c",
        "*:a:b:c",
        "*:*:*:c",
        "*:Debian",
        "nested:x:y",
        "nested:A",
        "nested:q*",
        "nested:x",
        "maps:k:v",
        "maps:0:k:v",
        "maps:k",
        "maps:5:five",
        "ipv6:fe80::1",
        "ipv6:fe80:*",
        "with:colon",
        "with:colon:v",
        "inner:5:five",
        "inner:True:t",
        "inner:5.0:five",
        "no:such",
        "no:*",
        "*:such",
        "*",
        "*:*",
        "**:x",
        "os:Deb[i]an",
        "roles:['web', 'db1']",
        "maps:{'k': 'v'}",
        "list_of_lists:[1, 2]",
        "list_of_lists:['a']",
        "late:it's",
        "nested:a:b:c:d",
        "roles:web:x",
        "nested:*:z",
    ] {
        cases.push(grain_case(target, ":", &grains));
        let other = target.replace(':', "|");
        cases.push(grain_case(&other, "|", &grains));
        cases.push(grain_case(target, "|", &grains));
        cases.push(grain_case(target, "", &grains));
    }
    let mut random = Random(3);
    let words = [
        "os", "nested", "a", "b", "c", "*", "roles", "web", "0", "maps", "k", "v", "5", "x", "y",
        "d*", "",
    ];
    for _ in 0..3000 {
        let count = 1 + random.below(5);
        let parts: Vec<_> = (0..count)
            .map(|_| words[random.below(words.len())])
            .collect();
        cases.push(grain_case(&parts.join(":"), ":", &grains));
    }
    compare(&cases);
}

fn grains() -> Value {
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| Value::from(*item)).collect());
    Value::Map(vec![
        ("os".into(), "Debian".into()),
        ("none".into(), Value::Nil),
        ("yes".into(), true.into()),
        ("num".into(), Value::Unsigned(5)),
        ("flo".into(), Value::Float(1.5)),
        ("roles".into(), list(&["web", "db1"])),
        ("empty".into(), Value::Array(Vec::new())),
        ("nothing".into(), Value::Map(Vec::new())),
        ("late".into(), list(&["it's", "a\"b"])),
        ("ipv6".into(), list(&["::1", "fe80::1"])),
        ("with:colon".into(), "v".into()),
        (
            "nested".into(),
            Value::map([
                ("a", Value::map([("b", "c".into()), ("z", list(&["q"]))])),
                ("x", Value::map([("y", list(&["c", "d"]))])),
                ("hole", Value::Map(Vec::new())),
            ]),
        ),
        (
            "maps".into(),
            Value::Array(vec![
                Value::map([("k", "v".into())]),
                Value::Map(vec![(Value::Unsigned(5), "five".into())]),
                Value::Map(Vec::new()),
            ]),
        ),
        (
            "inner".into(),
            Value::Map(vec![
                (Value::Unsigned(5), "five".into()),
                (Value::Bool(true), "t".into()),
            ]),
        ),
        (
            "list_of_lists".into(),
            Value::Array(vec![
                Value::Array(vec![Value::Unsigned(1), Value::Unsigned(2)]),
                list(&["a"]),
            ]),
        ),
    ])
}

fn case(kind: &str, target: &str, id: &str, grains: &Value) -> Json {
    json!({
        "match": kind, "target": target, "id": id, "delimiter": ":",
        "grains": hex::encode(encode(grains).unwrap()),
    })
}

fn grain_case(target: &str, delimiter: &str, grains: &Value) -> Json {
    let mut case = case("grain", target, "probe", grains);
    case["delimiter"] = delimiter.into();
    case
}

/// Ours against all three; a case that no Salt takes shows up as an answer of `false`.
fn compare(cases: &[Json]) {
    let keys = Keys::generate();
    let (mut matched, mut differ) = (Vec::new(), Vec::new());
    for version in Version::ALL {
        for (case, answer) in cases.iter().zip(ask(version, &keys, cases)) {
            let expected = answer["match"].as_bool().unwrap();
            matched.extend(expected.then_some(case));
            if ours(case) != expected {
                differ.push(format!("Salt {version} says {expected}: {case}"));
            }
        }
    }
    assert!(matched.len() > 10, "the cases are all of one kind");
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

fn ours(case: &Json) -> bool {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let id = text("id").parse::<MinionId>().unwrap();
    let grains = hex::decode(text("grains")).unwrap();
    let grains = minion::wire::msgpack::decode(&grains).unwrap();
    matches(&target(case), &id, &grains)
}

fn target(case: &Json) -> Target {
    let text = case["target"].as_str().unwrap_or_default().to_owned();
    match case["match"].as_str().unwrap() {
        "glob" => Target::Glob(text),
        "pcre" => Target::Pcre(text),
        "grain" => Target::Grain {
            expression: text,
            delimiter: case["delimiter"].as_str().unwrap().to_owned(),
        },
        "list" => Target::List(match &case["target"] {
            Json::Array(ids) => ids
                .iter()
                .map(|id| id.as_str().unwrap().to_owned())
                .collect(),
            _ => text.split(',').map(str::to_owned).collect(),
        }),
        other => panic!("{other}"),
    }
}

/// xorshift64: the cases are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.0.checked_rem(bound).unwrap()).unwrap()
    }

    fn text(&mut self, letters: &[u8], shortest: usize, longest: usize) -> String {
        let spread = longest.abs_diff(shortest).saturating_add(1);
        let length = shortest.saturating_add(self.below(spread));
        let letters = (0..length).map(|_| char::from(letters[self.below(letters.len())]));
        letters.collect()
    }
}
