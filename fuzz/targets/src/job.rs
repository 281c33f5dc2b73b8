//! A job that a master published: whether it is for us, and what is answered.

use std::collections::BTreeMap;

use minion::jobs::{Answer, Context, Master, matches, run as run_job};
use minion::verify::Algorithm;
use minion::wire::msgpack::{Fields, Value, decode, encode};
use minion::wire::publish::{Publication, Publications};
use minion::wire::request::Command;

use crate::capture::JOB;

/// Whatever is asked is answered, within two questions, and the answer can be sent.
pub fn run(load: &[u8]) {
    let Ok(load) = decode(load) else { return };
    let Ok(job) = Publication::try_from(load) else {
        return;
    };
    let id = "vecminion".parse().expect("an id");
    let grains = grains();
    let _ = matches(&job.target, &id, &grains);
    let (mut pings, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let answer = (0..MOST_QUESTIONS).find_map(|_| {
        let context = Context {
            id: &id,
            grains: &grains,
            pid: 1,
            running: &[&job],
            key: &JOB.master,
            hash_type: "sha256",
            master: Some(Master {
                name: "master",
                address: std::net::Ipv4Addr::LOCALHOST.into(),
                key: &JOB.master,
                connected: true,
            }),
            pings: &pings,
            addresses: &addresses,
        };
        match run_job(&job, &context) {
            Answer::Reply(reply) => return Some(reply),
            Answer::Ping { master } => drop(pings.insert(master, true)),
            Answer::Resolve { host } => drop(addresses.insert(host, Vec::new())),
        }
        None
    });
    let reply = answer.expect("each function of a job asks one question at most");
    let job = reply.into_return(&job, "2026-11-25T22:00:00.000000+00:00".to_owned());
    let command = Command::Return(Box::new(job));
    // A value nested to the limit may be one level too deep in a return, and then is an error.
    let nonce = minion::wire::nonce::Nonce::new([0; 16]);
    let iv = minion::wire::crypticle::Iv::new([0; 16]);
    let _ = JOB.requests().seal(&command, &nonce, 0, iv);
}

/// A message holds that many values, and each function is one.
const MOST_QUESTIONS: usize = minion::wire::msgpack::MAX_ITEMS;

/// The loads of the recorded publications, and written ones with every kind of target and function.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut publications = Publications::new(JOB.aes(), JOB.master.clone(), Algorithm::Sha1, None);
    let mut seeds: Vec<Vec<u8>> = ["test.ping.pub", "test.version.pub"]
        .iter()
        .map(|name| {
            let publication = publications.open(&JOB.frame(name)).expect("recorded");
            encode(&publication.load).expect("decoded")
        })
        .collect();
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| Value::from(*item)).collect());
    let named = Value::map([("__kwarg__", true.into()), ("default", Value::Float(0.5))]);
    for (fun, arguments, kind, target) in [
        (
            "test.arg",
            Value::Array(vec!["a=[1, {b: c}]".into(), named.clone()]),
            "glob",
            "v[!x-z]*".into(),
        ),
        (
            "grains.get",
            Value::Array(vec!["roles:0".into(), named]),
            "pcre",
            "(?i)v(?P<n>e)c\\w{2,}$".into(),
        ),
        (
            "saltutil.find_job",
            list(&["20261125220000000001"]),
            "grain",
            "nested:*:b".into(),
        ),
        (
            "key.finger",
            list(&["sha512"]),
            "list",
            list(&["vecminion", "other"]),
        ),
        (
            "status.ping_master",
            list(&["m2:4506"]),
            "compound",
            "G@os:* and v*".into(),
        ),
        ("status.master", list(&["m2"]), "glob", "*".into()),
        (
            "sys.list_functions",
            list(&["test", "key.*"]),
            "glob",
            "*".into(),
        ),
        ("grains.items", list(&["sanitize=True"]), "glob", "*".into()),
        ("no.such", list(&["a"]), "glob", "*".into()),
    ] {
        seeds.push(load(fun.into(), arguments, kind, target));
    }
    let several = list(&["test.ping", "test.echo", "status.ping_master"]);
    let arguments = Value::Array(vec![list(&[]), list(&["x"]), list(&["m"])]);
    seeds.push(load(several, arguments, "glob", "*".into()));
    seeds
}

fn load(fun: Value, arg: Value, kind: &str, target: Value) -> Vec<u8> {
    let load = Value::map([
        ("fun", fun),
        ("arg", arg),
        ("tgt", target),
        ("tgt_type", kind.into()),
        ("jid", "20261125220000000001".into()),
        ("ret", "".into()),
        ("user", "root".into()),
        ("serial", Value::Unsigned(9)),
        ("metadata", Value::map([("ticket", Value::Unsigned(1))])),
    ]);
    Fields::new(load.clone()).expect("no name occurs twice");
    encode(&load).expect("it is small")
}

/// A few grains of every type.
pub(crate) fn grains() -> Value {
    Value::map([
        ("id", "vecminion".into()),
        ("os", "Debian".into()),
        (
            "roles",
            Value::Array(vec!["web".into(), Value::Unsigned(5), Value::Nil]),
        ),
        (
            "nested",
            Value::map([("a", Value::map([("b", Value::Float(1.5))]))]),
        ),
        ("with:colon", true.into()),
        ("bytes", Value::Raw(vec![0xff, 0xfe])),
        ("empty", Value::Map(Vec::new())),
    ])
}
