//! The scripted master is a real one as far as a minion can tell.

use minion::net::{Connect, Keepalive, Request, Subscription};
use minion::verify::Algorithm;
use minion::wire::msgpack::{Fields, Value, decode, encode};
use minion::wire::publish::{Function, Publications};
use minion::wire::request::{Command, Requests, Return, is_pong, ping};
use minion::zmtp::Rhythm;
use scripted_master::reply::{Accepted, in_clear, pack, signed, turned_away};
use scripted_master::{Job, Keypair, Master, Setup, SharedKey, publish, remove};

use super::wire::capture::{Capture, Party, captures, nonce};

#[test]
fn it_lets_a_minion_in_byte_for_byte_as_real_masters_do() {
    let (mut made, mut precomputed, mut unsigned) = (0, 0, 0);
    for capture in captures() {
        let recorded = capture
            .has("auth.reply")
            .then(|| capture.frame("auth.reply"));
        let Some(mut load) = recorded.as_deref().and_then(accepted_load) else {
            continue;
        };
        made += 1;
        let master = Keypair::from_pem(capture.text("master_pem"));
        let signer = Keypair::from_pem(capture.text("master_sign_pem"));
        let algorithms = capture.algorithms();
        let algorithm = algorithms.signing;
        // A master signs per request, and Python's encoder ends its text with LF; or it shows the
        // file of `salt-key`, which is of SHA-1, and has been stripped.
        let recorded_pub_sig = load.optional_bytes("pub_sig").unwrap();
        let per_request = recorded_pub_sig
            .as_ref()
            .is_none_or(|text| text.ends_with(b"\n"));
        let pub_sig = if per_request {
            format!("{}\n", signer.pub_sig(algorithm, master.public()))
        } else {
            signer.pub_sig(Algorithm::Sha1, master.public())
        };
        let minion = Keypair::from_pem(capture.text("minion_pem"));
        // What OAEP made is not to be made again; the recorded texts stand in.
        let aes = load.bytes("aes").unwrap();
        let opened = minion.decrypt(algorithms.encryption, &aes).unwrap();
        let accepted = Accepted {
            pub_key: master.public().canonical().to_owned(),
            publish_port: load.unsigned("publish_port").unwrap(),
            pub_sig,
            token: load.optional_bytes("token").unwrap(),
            aes,
            session: load.bytes("session").unwrap(),
            sig: master.sign_key_text(&opened),
            nonce: load.text("nonce").unwrap(),
        };
        let mut load = accepted.into_load();
        if recorded_pub_sig.is_none() {
            remove(&mut load, "pub_sig");
            unsigned += 1;
        }
        precomputed += usize::from(!per_request);
        let reply = pack(signed(&pack(load), &master, algorithm));
        assert!(Some(reply) == recorded, "{}", capture.case);
    }
    // In each version the master that shows a file is asked four times, and the one that has no
    // signing key once.
    assert_eq!((made, precomputed, unsigned), (72, 12, 3));
}

#[test]
fn it_turns_a_minion_away_byte_for_byte_as_real_masters_do() {
    for version in ["3006.30", "3007.17", "3008.5"] {
        for (case, ret) in [
            ("auth_full", Value::from("full")),
            ("auth_full_token", Value::from("full")),
            ("auth_pending", Value::Bool(true)),
            ("auth_pending_again", Value::Bool(true)),
            ("auth_rejected", Value::Bool(false)),
            ("auth_denied_other_key", Value::Bool(false)),
        ] {
            let capture = Capture::open(version, case);
            let master = Keypair::from_pem(capture.text("master_pem"));
            let load = pack(turned_away(ret, capture.nonce().as_str()));
            let reply = pack(signed(&load, &master, Algorithm::Sha1));
            assert_eq!(reply, capture.frame("auth.reply"), "{version} {case}");
        }
        let bad_encryption = Capture::open(version, "auth_bad_enc_algo");
        let reply = pack(in_clear("bad enc algo".into()));
        assert_eq!(reply, bad_encryption.frame("auth.reply"));
        let old = Capture::open(version, "auth_old_version");
        assert_eq!(encode(&"bad load".into()).unwrap(), old.frame("auth.reply"));
    }
}

#[test]
fn it_publishes_and_replies_byte_for_byte_as_real_masters_do() {
    for version in ["3006.30", "3007.17", "3008.5"] {
        let capture = Capture::open(version, "job");
        let master = Keypair::from_pem(capture.text("master_pem"));
        let aes = SharedKey::parse(capture.text("aes"));
        for (fun, serial) in [("test.ping", 1), ("test.version", 2)] {
            let recorded = capture.frame(&format!("{fun}.pub"));
            let json = capture.json(&format!("{fun}.pub"));
            let sealed = Fields::decode(&recorded).unwrap().bytes("load").unwrap();
            let job = Job {
                fun: fun.into(),
                tgt: "vecminion".into(),
                ..Job::ping(json["load_msgpack"]["jid"].as_str().unwrap())
            };
            let load = Value::Map(job.into_load(serial));
            let sealed = aes.seal_with(sealed[..16].try_into().unwrap(), "", &load);
            let made = pack(publish::around(sealed, &master, Algorithm::Sha1));
            assert_eq!(made, recorded, "{version} {fun}");
        }
        let session = SharedKey::parse(capture.text("session"));
        for name in ["start_event.reply", "test.ping.return.reply"] {
            let Value::Raw(recorded) = decode(&capture.frame(name)).unwrap() else {
                panic!("{name} is sealed");
            };
            let json = capture.json(name);
            let iv = recorded[..16].try_into().unwrap();
            let made = session.seal_with(iv, json["nonce"].as_str().unwrap(), &Value::Nil);
            assert_eq!(made, recorded, "{version} {name}");
        }
    }
}

#[tokio::test]
async fn an_honest_one_lets_a_minion_in_publishes_and_takes_its_return() {
    let capture = Capture::open("3008.5", "job");
    let mut party = Party::new(&capture);
    let key = Keypair::from_pem(capture.text("master_pem")).into();
    let signer = Keypair::from_pem(capture.text("master_sign_pem"));
    let master = Master::start(Setup::new(&key, &signer)).await;

    let known = capture.master();
    let (handshake, body) = party.begin(Some(&known));
    let request = Request::connect(&connect(master.request_address())).await;
    let (reply, request) = request.unwrap().exchange(&body, LONG).await.unwrap();
    let session = handshake.finish(&reply).unwrap();
    assert_eq!(session.publish_port.get(), master.publish_address().port());
    master.until(|log| log.accepted == 1).await;
    assert!(master.read(|log| log.sign_ins[0].has_token));

    let options = connect(master.publish_address());
    let mut subscription = Subscription::connect(&options, None, &[b""]).await.unwrap();
    master.until(|log| log.subscribed == 1).await;
    let jid = "20261122010309441121";
    assert_eq!(master.publish(Job::ping(jid)).await, 1);
    let published = subscription.next().await.unwrap();
    let algorithm = Algorithm::Sha1;
    let mut publications = Publications::new(session.aes, session.master, algorithm, None);
    let job = publications.open(&published.payload).unwrap();
    assert_eq!((job.serial, job.jid.as_str()), (1, jid));
    let Function::One(call) = job.function else {
        panic!("one function");
    };

    party.session = Some(master.session("vecminion").unwrap().text().to_owned());
    let requests: Requests = party.requests();
    let command = Command::Return(Box::new(Return {
        jid: job.jid,
        fun: call.name.as_str().into(),
        fun_args: call.arguments,
        value: true.into(),
        retcode: 0_u64.into(),
        success: true.into(),
        out: None,
        user: None,
        metadata: None,
        stamp: "2026-11-22T01:03:09.000000".to_owned(),
    }));
    let echo = "0123456789abcdef0123456789abcdef";
    let iv = minion::wire::crypticle::Iv::new([7; 16]);
    let body = requests.seal(&command, &nonce(echo), 1, iv).unwrap();
    let (reply, request) = request.exchange(&body, LONG).await.unwrap();
    assert_eq!(requests.open(&reply, nonce(echo)), Ok(Value::Nil));
    master.until(|log| log.returned(jid)).await;

    let (reply, mut request) = request.exchange(&ping().unwrap(), LONG).await.unwrap();
    assert!(is_pong(&reply));
    request.probe(LONG).await.unwrap();
    subscription.probe(LONG).await.unwrap();
    let log = master.log();
    assert_eq!((log.probes, log.pings, log.bad_loads), (1, 2, 0));
    drop((request, subscription));
    master
        .until(|log| log.requesting == 0 && log.subscribed == 0)
        .await;
}

#[tokio::test]
async fn a_stopped_one_takes_connections_and_says_nothing() {
    let capture = Capture::open("3008.5", "job");
    let key = Keypair::from_pem(capture.text("master_pem")).into();
    let master = Master::start(Setup::new(&key, &key)).await;
    let options = connect(master.request_address());
    let mut request = Request::connect(&options).await.unwrap();
    master.set_running(false);
    let short = std::time::Duration::from_millis(50);
    assert!(request.probe(short).await.is_err());
    let hasty = Connect {
        within: short,
        ..options
    };
    assert!(Request::connect(&hasty).await.unwrap_err().is_retryable());
    master.set_running(true);
    request.probe(LONG).await.unwrap();
}

fn accepted_load(reply: &[u8]) -> Option<Fields> {
    let load = Fields::decode(reply).ok()?.bytes("load").ok()?;
    let entries = decode(&load).ok()?;
    let mut accepted = Fields::new(entries.clone()).ok()?;
    accepted.take("pub_key")?;
    Fields::new(entries).ok()
}

fn connect(target: std::net::SocketAddr) -> Connect {
    Connect {
        target,
        source: None,
        keepalive: Keepalive::default(),
        within: LONG,
        rhythm: Rhythm {
            interval: LONG,
            patience: LONG,
        },
    }
}

/// Long enough that only a failing test waits for it.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);
