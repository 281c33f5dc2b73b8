//! Jobs without a master. That values, texts and matches are Salt's is tested with Salt itself, in
//! `softhsm-tests`; here are effects, jobs under way, and what a hostile target may cost.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use minion::jobs::{Answer, Context, Master, Reply, Seen, matches, run};
use minion::verify::PublicKey;
use minion::wire::id::MinionId;
use minion::wire::msgpack::Value;
use minion::wire::publish::{Publication, Target};

const KEY: &[u8] = include_bytes!("../vectors/gen-signature/3008.5-sha1/master.pub");

#[test]
fn a_job_that_needs_a_ping_asks_for_it_once_and_then_answers() {
    let scene = Scene::new();
    let job = job("status.ping_master", &["m2:4506".into()]);
    let asked = Answer::Ping {
        master: "m2:4506".to_owned(),
    };
    assert_eq!(scene.run(&job), asked);
    for answered in [true, false] {
        let mut scene = Scene::new();
        scene.pings.insert("m2:4506".to_owned(), answered);
        assert_eq!(scene.run(&job), Answer::Reply(Reply::ok(answered.into())));
    }
}

#[test]
fn a_job_of_several_functions_waits_for_the_ping_of_one() {
    let mut scene = Scene::new();
    let job = several(&[("test.ping", &[]), ("status.ping_master", &["m2".into()])]);
    assert!(matches!(scene.run(&job), Answer::Ping { .. }));
    scene.pings.insert("m2".to_owned(), false);
    let reply = scene.reply(&job);
    let expected = Value::map([
        ("test.ping", true.into()),
        ("status.ping_master", false.into()),
    ]);
    assert_eq!(reply.value, expected);
}

#[test]
fn the_connection_is_told_by_name_by_address_and_by_lookup() {
    let mut scene = Scene::new();
    let ask = |scene: &Scene, master: &str| scene.run(&job("status.master", &[master.into()]));
    let told = |value: Value| Answer::Reply(Reply::ok(value));
    assert_eq!(ask(&scene, "master.example"), told(true.into()));
    assert_eq!(ask(&scene, "192.0.2.1"), told(true.into()));
    assert_eq!(ask(&scene, "192.0.2.9"), told(false.into()));
    let asked = Answer::Resolve {
        host: "alias".to_owned(),
    };
    assert_eq!(ask(&scene, "alias"), asked);
    let addresses = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
    scene
        .addresses
        .insert("alias".to_owned(), addresses("192.0.2.1"));
    scene
        .addresses
        .insert("other".to_owned(), addresses("192.0.2.9"));
    scene.addresses.insert("nobody".to_owned(), Vec::new());
    assert_eq!(ask(&scene, "alias"), told(true.into()));
    assert_eq!(ask(&scene, "other"), told(false.into()));
    assert_eq!(ask(&scene, "nobody"), told(Value::Nil));
    scene.connected = false;
    assert_eq!(ask(&scene, "master.example"), told(false.into()));
}

#[test]
fn a_job_sees_the_others_under_way_and_not_itself() {
    let mut scene = Scene::new();
    let mut other = job("test.echo", &["x".into()]);
    other.jid = "20261125220000000002".parse().unwrap();
    let asking = job("saltutil.running", &[]);
    scene.running = vec![other.clone(), asking.clone()];
    let Value::Map(mut shown) = other.load else {
        panic!("a map");
    };
    shown.insert(0, ("pid".into(), Value::Unsigned(42)));
    let shown = Value::Map(shown);
    assert_eq!(
        scene.reply(&asking).value,
        Value::Array(vec![shown.clone()])
    );
    let find = |jid: &str| job("saltutil.find_job", &[jid.into()]);
    assert_eq!(scene.reply(&find("20261125220000000002")).value, shown);
    let none = scene.reply(&find("20261125220000000003"));
    assert_eq!(none, Reply::ok(Value::Map(Vec::new())));
}

#[test]
fn a_return_has_what_the_publication_said() {
    let mut load = load("test.echo".into(), vec!["x".into()]);
    let metadata = Value::map([("ticket", Value::Unsigned(7))]);
    load.push(("metadata".into(), metadata.clone()));
    let job = Publication::try_from(Value::Map(load)).unwrap();
    let sent = Scene::new().reply(&job).into_return(&job, "now".to_owned());
    assert_eq!(sent.fun, "test.echo".into());
    assert_eq!(sent.fun_args, ["x".into()]);
    assert_eq!(sent.user.as_deref(), Some("root"));
    assert_eq!(sent.metadata, Some(metadata));
    assert_eq!(sent.value, "x".into());
    let failed = crate::jobs::job("no.such", &[]);
    let sent = Scene::new()
        .reply(&failed)
        .into_return(&failed, "now".to_owned());
    assert_eq!(sent.value, "'no.such' is not available.".into());
    assert_eq!(sent.retcode, Value::Unsigned(1));
    assert_eq!(sent.success, Value::Bool(false));
    assert_eq!(sent.out.as_deref(), Some("nested"));
}

#[test]
fn without_a_master_there_is_no_fingerprint_of_one() {
    let mut scene = Scene::new();
    scene.has_master = false;
    let reply = scene.reply(&job("key.finger_master", &[]));
    assert_eq!(reply, Reply::ok("".into()));
}

#[test]
fn a_job_is_new_once_until_as_many_others_came_as_are_remembered() {
    let mut seen = Seen::new(100);
    let jid = |number: u64| format!("2026112522{number:010}").parse().unwrap();
    assert!(seen.is_new(&jid(0)));
    assert!(!seen.is_new(&jid(0)));
    for number in 1..100 {
        assert!(seen.is_new(&jid(number)));
    }
    assert!(!seen.is_new(&jid(0)));
    assert!(seen.is_new(&jid(100)));
    assert!(seen.is_new(&jid(0)));
    let mut one = Seen::new(1);
    assert!(one.is_new(&jid(1)) && !one.is_new(&jid(1)));
    assert!(one.is_new(&jid(2)) && one.is_new(&jid(1)));
    // As in Salt, whose list is cut after the job was put there.
    let mut none = Seen::new(0);
    assert!(none.is_new(&jid(1)) && none.is_new(&jid(1)));
}

#[test]
fn no_target_takes_long() {
    let grains = Value::map([
        ("a", Value::map([("b", Value::map([("c", "d".into())]))])),
        ("long", "x".repeat(2000).as_str().into()),
    ]);
    let id: MinionId = "a".repeat(255).parse().unwrap();
    let grain = |expression: String| Target::Grain {
        expression,
        delimiter: ":".to_owned(),
    };
    for target in [
        Target::Glob("*a".repeat(100_000) + "b"),
        Target::Glob("*[!b]".repeat(50_000) + "b"),
        Target::Pcre("(a*)*b".to_owned()),
        Target::Pcre("(a|aa)+\\1{5}b".to_owned()),
        Target::Pcre("(?:a?){255}".to_owned() + &"a".repeat(256)),
        grain("*:".repeat(60) + "x"),
        grain("*:".repeat(100_000) + "x"),
        grain("a:".to_owned() + &"*:".repeat(60)),
        grain("long:".to_owned() + &"*x".repeat(10_000) + "y"),
    ] {
        let begun = Instant::now();
        assert!(!matches(&target, &id, &grains));
        // Generous: the machine may be busy, and the bounds are what is tested, not the machine.
        assert!(begun.elapsed() < Duration::from_secs(20), "{target:?}");
    }
}

/// A few of each kind; Salt itself judges thousands of them in `softhsm-tests`.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn targets_are_judged_by_salts_rules() {
    let id: MinionId = "web1.example".parse().unwrap();
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| Value::from(*item)).collect());
    let grains = Value::map([
        ("os", "Debian".into()),
        ("roles", list(&["web", "db"])),
        (
            "nested",
            Value::map([("a", Value::map([("b", Value::Unsigned(5))]))]),
        ),
        ("none", Value::Nil),
    ]);
    let judged = |target: &Target| matches(target, &id, &grains);
    for (pattern, expected) in [
        ("*", true),
        ("web?.*", true),
        ("web[!2-9].example", true),
        ("WEB*", false),
        ("web1", false),
        ("{web1,web2}.example", false),
    ] {
        assert_eq!(
            judged(&Target::Glob(pattern.to_owned())),
            expected,
            "{pattern}"
        );
    }
    for (pattern, expected) in [
        ("web", true),
        ("eb", false),
        (r"web\d\.example$", true),
        ("(?i)WEB(?!2)", true),
        ("web[[]", false),
        ("web(", false),
    ] {
        assert_eq!(
            judged(&Target::Pcre(pattern.to_owned())),
            expected,
            "{pattern}"
        );
    }
    for (expression, expected) in [
        ("os:debian", true),
        ("os:Ubuntu", false),
        ("roles:d*", true),
        ("roles:0:web", true),
        ("roles:1:web", false),
        ("nested:a:b:5", true),
        ("nested:*:b:5", true),
        ("none:none", true),
        ("os", false),
    ] {
        let target = Target::Grain {
            expression: expression.to_owned(),
            delimiter: ":".to_owned(),
        };
        assert_eq!(judged(&target), expected, "{expression}");
    }
    let ids = |ids: &[&str]| Target::List(ids.iter().copied().map(str::to_owned).collect());
    assert!(judged(&ids(&["other", "web1.example"])));
    assert!(!judged(&ids(&["web1"])));
    assert!(!judged(&Target::Other("compound".to_owned())));
}

struct Scene {
    id: MinionId,
    key: PublicKey,
    grains: Value,
    running: Vec<Publication>,
    pings: BTreeMap<String, bool>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    connected: bool,
    has_master: bool,
}

impl Scene {
    fn new() -> Self {
        Self {
            id: "web1.example".parse().unwrap(),
            key: PublicKey::parse(KEY).unwrap(),
            grains: Value::Map(Vec::new()),
            running: Vec::new(),
            pings: BTreeMap::new(),
            addresses: BTreeMap::new(),
            connected: true,
            has_master: true,
        }
    }

    fn run(&self, job: &Publication) -> Answer {
        let running: Vec<_> = self.running.iter().collect();
        let master = Master {
            name: "master.example",
            address: "192.0.2.1".parse().unwrap(),
            key: &self.key,
            connected: self.connected,
        };
        let context = Context {
            id: &self.id,
            grains: &self.grains,
            pid: 42,
            running: &running,
            key: &self.key,
            hash_type: "sha256",
            master: self.has_master.then_some(master),
            pings: &self.pings,
            addresses: &self.addresses,
        };
        run(job, &context)
    }

    fn reply(&self, job: &Publication) -> Reply {
        match self.run(job) {
            Answer::Reply(reply) => reply,
            effect => panic!("{effect:?}"),
        }
    }
}

fn job(name: &str, arguments: &[Value]) -> Publication {
    Publication::try_from(Value::Map(load(name.into(), arguments.to_vec()))).unwrap()
}

fn several(calls: &[(&str, &[Value])]) -> Publication {
    let names = calls.iter().map(|(name, _)| Value::from(*name)).collect();
    let arguments = calls.iter().map(|(_, list)| Value::Array(list.to_vec()));
    let load = load(Value::Array(names), arguments.collect());
    Publication::try_from(Value::Map(load)).unwrap()
}

fn load(fun: Value, arguments: Vec<Value>) -> Vec<(Value, Value)> {
    vec![
        ("fun".into(), fun),
        ("arg".into(), Value::Array(arguments)),
        ("tgt".into(), "*".into()),
        ("jid".into(), "20261125220000000001".into()),
        ("ret".into(), "".into()),
        ("user".into(), "root".into()),
        ("serial".into(), Value::Unsigned(1)),
    ]
}
