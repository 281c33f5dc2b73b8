//! Values, codes and error texts of every function.

use std::collections::BTreeMap;

use minion::jobs::{Answer, Context, Master, Reply, run};
use minion::wire::id::MinionId;
use minion::wire::msgpack::{Fields, Value};
use minion::wire::publish::Publication;
use softhsm_tests::salt::Version;

use super::reference::{ID, Keys, ask, job, returned};

#[test]
fn every_answer_is_the_one_of_salt_3006() {
    compare(Version::V3006);
}

#[test]
fn every_answer_is_the_one_of_salt_3007() {
    compare(Version::V3007);
}

#[test]
fn every_answer_is_the_one_of_salt_3008() {
    compare(Version::V3008);
}

fn compare(version: Version) {
    let keys = Keys::generate();
    let loads = loads();
    let cases: Vec<_> = loads.iter().map(job).collect();
    let mut answers = ask(version, &keys, &cases).into_iter();
    // The first job asks for the grains that the others look into.
    let mut grains = returned(&answers.next().unwrap());
    let grains = grains.take("return").unwrap();
    let mut differ = Vec::new();
    for (load, answer) in loads.iter().skip(1).zip(answers) {
        let mut expected = returned(&answer);
        let reply = ours(load, &keys, &grains);
        let value = expected.take("return").unwrap();
        let ours = (
            Some(comparable(&reply.value)),
            Some(reply.retcode),
            Some(reply.success),
            reply.out.map(Value::from),
        );
        let theirs = (
            Some(comparable(&value)),
            expected.take("retcode"),
            expected.take("success"),
            expected.take("out"),
        );
        if ours != theirs {
            let asked = fields(load);
            differ.push(format!("{asked}\n  Salt: {theirs:?}\n  ours: {ours:?}"));
        }
    }
    assert!(differ.is_empty(), "Salt {version}:\n{}", differ.join("\n"));
}

fn fields(load: &Value) -> String {
    let mut fields = Fields::new(load.clone()).unwrap();
    let mut field = |name: &str| format!("{:?}", fields.take(name).unwrap());
    format!("{} {}", field("fun"), field("arg"))
}

/// Everything but what a scenario with a master is needed for.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn loads() -> Vec<Value> {
    let kwarg = |name: &str, value: Value| Value::map([("__kwarg__", true.into()), (name, value)]);
    let number = Value::Unsigned;
    let mut loads = vec![one("grains.items", &[])];
    let mut ask = |name: &str, arguments: &[Value]| loads.push(one(name, arguments));

    ask("test.ping", &[]);
    ask("test.ping", &["x".into()]);
    ask("test.ping", &[number(1), number(2)]);
    ask("test.ping", &[kwarg("x", number(1))]);
    ask("test.ping", &["x=1".into(), kwarg("y", Value::Nil)]);
    ask("test.ping", &["x = 1".into()]);
    ask("test.echo", &["a text".into()]);
    ask("test.echo", &[Value::Raw(vec![0xff, 0xfe])]);
    ask("test.echo", &[number(7)]);
    ask("test.echo", &["a==b".into()]);
    ask("test.echo", &["1a=b".into()]);
    ask("test.echo", &["text=5".into()]);
    ask("test.echo", &["text=[1, two, {a: null}]".into()]);
    ask("test.echo", &["text=a: b".into()]);
    ask("test.echo", &["text=1_000".into()]);
    ask("test.echo", &["text=0750".into()]);
    ask("test.echo", &["text=yes".into()]);
    ask("test.echo", &["text=1e3".into()]);
    ask("test.echo", &["text=2026-11-25".into()]);
    ask("test.echo", &["text=a # b".into()]);
    ask("test.echo", &["text=None".into()]);
    ask("test.echo", &["text=".into()]);
    ask("test.echo", &["a\nb=c".into()]);
    ask("test.echo", &["text=b\n".into()]);
    ask("test.echo", &[]);
    ask("test.echo", &["a".into(), "b".into()]);
    ask("test.echo", &["a".into(), kwarg("text", "b".into())]);
    ask("test.echo", &[kwarg("text", "b".into())]);
    ask("test.echo", &[kwarg("other", Value::Float(1.5))]);
    ask(
        "test.echo",
        &[kwarg("other", Value::map([("a", Value::Nil)]))],
    );
    ask("test.echo", &[Value::map([("result", false.into())])]);
    ask("test.echo", &[Value::map([("success", number(0))])]);
    ask("test.echo", &[Value::map([("success", "no".into())])]);
    ask(
        "test.echo",
        &[Value::map([("__kwarg__", number(1)), ("text", number(1))])],
    );
    ask("test.arg", &[]);
    ask("test.arg", &[number(1), "two".into(), "a.b-c=3".into()]);
    ask(
        "test.arg",
        &["a=1".into(), kwarg("a", number(2)), kwarg("b", number(3))],
    );
    ask("test.arg", &["ä=1".into(), "_x=1".into(), "x!=1".into()]);

    ask("grains.get", &["os".into()]);
    ask("grains.get", &["id".into()]);
    ask("grains.get", &["no:such".into()]);
    ask("grains.get", &["no:such".into(), Value::Nil]);
    ask(
        "grains.get",
        &["no:such".into(), kwarg("default", "d".into())],
    );
    ask("grains.get", &["ip_interfaces:lo".into()]);
    ask("grains.get", &["ip_interfaces:lo:0".into()]);
    ask("grains.get", &["ip_interfaces:lo:-1".into()]);
    ask("grains.get", &["ip_interfaces:lo:9".into()]);
    ask("grains.get", &["ip_interfaces:lo:x".into()]);
    ask(
        "grains.get",
        &["ip_interfaces|lo".into(), kwarg("delimiter", "|".into())],
    );
    ask("grains.get", &["os".into(), "".into(), "".into()]);
    ask("grains.get", &["os".into(), "".into(), number(5)]);
    ask("grains.get", &["os".into(), "".into(), Value::Nil]);
    ask(
        "grains.get",
        &["os".into(), "".into(), ":".into(), true.into(), number(1)],
    );
    ask("grains.get", &["os:x".into()]);
    ask("grains.get", &["".into()]);
    ask("grains.get", &[number(5)]);
    ask("grains.get", &[Value::Nil]);
    ask("grains.get", &[Value::Float(1.0)]);
    ask(
        "grains.get",
        &[Value::Array(vec!["ip_interfaces".into(), "lo".into()])],
    );
    ask("grains.get", &[]);
    ask("grains.items", &[true.into()]);
    ask("grains.items", &[kwarg("sanitize", "true".into())]);
    ask("grains.items", &["sanitize=1".into()]);
    ask("grains.items", &[number(1), number(2)]);

    ask("key.finger", &[]);
    for hash in [
        "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256",
    ] {
        ask("key.finger", &[hash.into()]);
        ask("key.finger_master", &[kwarg("hash_type", hash.into())]);
    }
    ask("key.finger", &["nonsense".into()]);
    ask("key.finger", &[number(5)]);
    ask("key.finger_master", &[]);
    ask("key.finger_master", &["a".into(), "b".into()]);

    ask("saltutil.running", &[]);
    ask("saltutil.running", &["x".into()]);
    ask("saltutil.find_job", &["20261125220000000009".into()]);
    ask("saltutil.find_job", &[]);
    ask("status.master", &[]);
    ask("status.master", &[Value::Nil]);
    ask("status.master", &[kwarg("master", "".into())]);
    ask("status.master", &["a".into(), true.into(), "c".into()]);
    ask("status.ping_master", &[]);
    ask("status.ping_master", &[Value::Nil]);
    ask("status.ping_master", &["".into()]);
    ask(
        "sys.list_functions",
        &["test.ping".into(), "test.ech*".into()],
    );
    ask(
        "sys.list_functions",
        &["nothing".into(), kwarg("x", number(1))],
    );
    ask("sys.list_functions", &["key.[a-g]*".into()]);
    ask("sys.list_functions", &[number(5)]);
    ask("sys.list_functions", &[Value::Nil]);
    ask("sys.list_functions", &[Value::Array(vec![])]);
    ask("sys.list_functions", &[Value::map([("a", number(1))])]);
    ask("test.version", &["x".into()]);
    ask("test.versions_report", &["x".into()]);

    ask("no.such", &[]);
    ask("no_such", &["x".into()]);
    ask("test.pin", &[]);
    ask("key.finge", &["a".into()]);

    loads.push(several(&[("test.ping", &[]), ("test.echo", &["a".into()])]));
    loads.push(several(&[
        ("test.ping", &["x".into()]),
        ("test.echo", &["x=1".into()]),
    ]));
    loads.push(several(&[
        ("test.echo", &["a".into()]),
        ("test.echo", &["b".into()]),
    ]));
    loads.push(several(&[
        ("test.echo", &[Value::map([("result", false.into())])]),
        ("test.ping", &[]),
    ]));
    loads
}

/// Which of the differences that docs/salt-compatibility.md names are none here: our words about
/// our functions, and the lines of Salt's source in a trace.
fn comparable(value: &Value) -> Value {
    if let Value::Map(entries) = value {
        let entries = entries.iter().map(|(key, value)| {
            let is_doc = key.as_text().is_some_and(|name| name.contains('.'))
                && value
                    .as_text()
                    .is_some_and(|text| text.contains('\n') && !text.starts_with("Traceback"));
            let described = value.as_text() != Some("") && is_doc || is_our_doc(value);
            let value = if described {
                "documentation".into()
            } else {
                comparable(value)
            };
            (key.clone(), value)
        });
        return Value::Map(entries.collect());
    }
    let Some(text) = value.as_text() else {
        return value.clone();
    };
    if text.starts_with("Passed invalid arguments to ") {
        return text.lines().next().unwrap().into();
    }
    if let Some((before, trace)) = text.split_once("Traceback (most recent call last):") {
        let last = trace.trim_end().lines().last().unwrap();
        return format!("{before}{last}").as_str().into();
    }
    value.clone()
}

/// One line that ends like a sentence.
fn is_our_doc(value: &Value) -> bool {
    let text = value.as_text().unwrap_or("");
    text.starts_with("Returns ") && text.ends_with('.')
}

fn ours(load: &Value, keys: &Keys, grains: &Value) -> Reply {
    let id: MinionId = ID.parse().unwrap();
    let publication = Publication::try_from(load.clone()).unwrap();
    let context = Context {
        id: &id,
        grains,
        pid: std::process::id(),
        running: &[],
        key: &keys.minion,
        hash_type: "sha256",
        master: Some(Master {
            name: "localhost",
            address: "127.0.0.1".parse().unwrap(),
            key: &keys.master,
            connected: true,
        }),
        pings: &BTreeMap::new(),
        addresses: &BTreeMap::new(),
    };
    match run(&publication, &context) {
        Answer::Reply(reply) => reply,
        effect => panic!("{effect:?}"),
    }
}

fn one(name: &str, arguments: &[Value]) -> Value {
    load(name.into(), arguments.to_vec())
}

fn several(calls: &[(&str, &[Value])]) -> Value {
    let names = calls.iter().map(|(name, _)| Value::from(*name)).collect();
    let arguments = calls.iter().map(|(_, list)| Value::Array(list.to_vec()));
    load(Value::Array(names), arguments.collect())
}

fn load(fun: Value, arguments: Vec<Value>) -> Value {
    Value::map([
        ("fun", fun),
        ("arg", Value::Array(arguments)),
        ("tgt", "*".into()),
        ("jid", "20261125220000000001".into()),
        ("ret", "".into()),
        ("tgt_type", "glob".into()),
        ("user", "root".into()),
        ("serial", Value::Unsigned(3)),
    ])
}

/// Not compared with Salt's: that it is there and readable for `salt-run manage.versions`.
#[test]
fn the_version_is_ours_and_salt_can_read_it() {
    let keys = Keys::generate();
    let grains = Value::Map(Vec::new());
    let reply = ours(&one("test.version", &[]), &keys, &grains);
    let version = reply.value.as_text().unwrap().to_owned();
    for salt in Version::ALL {
        let output = salt
            .command("python")
            .unwrap()
            .args(["-W", "ignore", "-c", PARSE, &version])
            .output()
            .unwrap();
        let parsed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            parsed.trim(),
            format!("{}.{}", "0", "1.0"),
            "Salt {salt}: {version}"
        );
    }
    let mut fields = Fields::new(Value::map([(
        "report",
        ours(&one("test.versions_report", &[]), &keys, &grains).value,
    )]))
    .unwrap();
    assert!(
        fields
            .text("report")
            .unwrap()
            .starts_with("Mastersign Version:\n")
    );
}

const PARSE: &str =
    "import sys, salt.version; print(salt.version.SaltStackVersion.parse(sys.argv[1]).string)";
