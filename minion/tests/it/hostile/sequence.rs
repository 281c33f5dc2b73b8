//! Attacks that take more than one message: replays across sign-ins and restarts, and replies to
//! requests of a session.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use minion::wire::msgpack::{Value, encode};
use scripted_master::reply::pack;
use scripted_master::request::text;
use scripted_master::{Answer, Exchange, Job, SharedKey, Step, set};

use minion::verify::Algorithm;

use super::keys::keys;

use super::minion::{Minion, Witness};
use super::publication::{runs_an_honest_job, signed_in, stays};
use super::scene::{Contact, Fault, GOOD, Scene, hostile_name, turns_away, within_reason};

/// The serial is kept beyond the connection.
#[tokio::test]
async fn a_publication_is_not_run_again_after_a_new_sign_in() {
    let scene = Scene::new().await;
    let mut masters = scene.masters(1);
    masters.pop();
    let store = Arc::new(Witness::new());
    let minion = Minion::start(&store, masters, |_| ());
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let (taped, jid) = runs_and_tapes(&scene, 1).await;
    scene.hostile.disconnect();
    within_reason(
        scene
            .hostile
            .until(|log| log.accepted == 2 && log.subscribed == 1),
    )
    .await;
    assert_eq!(scene.hostile.publish_frames(&[&taped]).await, 1);
    let honest = runs_an_honest_job(&scene, 2).await;
    assert_eq!(minion.jobs.ran(), [jid, honest]);
    minion.end().await;
}

/// The serial is kept beyond the process; without that memory the replay is as good as new, which
/// shows that nothing else held it off.
#[tokio::test]
async fn a_publication_is_not_run_again_after_a_restart() {
    let scene = Scene::new().await;
    let store = Arc::new(Witness::new());
    let minion = Minion::start(&store, scene.masters(1), |_| ());
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let (taped, jid) = runs_and_tapes(&scene, 1).await;
    assert_eq!(minion.jobs.ran(), [jid.as_str()]);
    minion.end().await;
    within_reason(scene.hostile.until(|log| log.subscribed == 0)).await;

    let minion = Minion::start(&store, scene.masters(1), |_| ());
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    assert_eq!(scene.hostile.publish_frames(&[&taped]).await, 1);
    let honest = runs_an_honest_job(&scene, 2).await;
    assert_eq!(minion.jobs.ran(), [honest]);
    minion.end().await;
    within_reason(scene.hostile.until(|log| log.subscribed == 0)).await;

    let forgetful = Minion::start(&Arc::new(Witness::new()), scene.masters(1), |_| ());
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    scene.hostile.publish_frames(&[&taped]).await;
    let honest = runs_an_honest_job(&scene, 3).await;
    assert_eq!(forgetful.jobs.ran(), [jid, honest]);
    forgetful.end().await;
}

/// What the master said under its key of yesterday costs a sign-in and is not run, although serials
/// have begun anew.
#[tokio::test]
async fn a_publication_under_an_old_key_is_not_run() {
    let (scene, minion) = signed_in(Contact::First).await;
    let first = runs_an_honest_job(&scene, 1).await;
    let (taped, second) = runs_and_tapes(&scene, 2).await;
    scene.hostile.forget_keys();
    let third = runs_an_honest_job(&scene, 3).await;
    let before = scene.hostile.read(|log| log.accepted);
    assert_eq!(scene.hostile.publish_frames(&[&taped]).await, 1);
    within_reason(scene.hostile.until(|log| log.accepted == before + 1)).await;
    let fourth = runs_an_honest_job(&scene, 4).await;
    assert_eq!(minion.jobs.ran(), [first, second, third, fourth]);
    stays(&scene, minion).await;
}

/// Wrong replies to a return: none is taken for the master's word, so the return is sent again.
#[tokio::test]
async fn a_return_is_brought_again_after_a_wrong_reply() {
    let wrong: [(&str, Wrong); 8] = [
        ("another nonce", |_, session, _| {
            session.seal(&"f".repeat(32), &Value::Nil)
        }),
        ("no nonce", |_, session, _| session.seal("", &Value::Nil)),
        ("the reply before", |_, _, before| before.to_vec()),
        ("another minion's session", |nonce, _, _| {
            SharedKey::random().seal(nonce, &Value::Nil)
        }),
        ("a damaged code", |nonce, session, _| {
            let mut sealed = session.seal(nonce, &Value::Nil);
            *sealed.last_mut().unwrap() ^= 1;
            sealed
        }),
        ("a short one", |nonce, session, _| {
            session.seal(nonce, &Value::Nil)[..31].to_vec()
        }),
        ("lax padding", |nonce, session, _| {
            let plain = [b"pickle::", nonce.as_bytes(), b"\xc0"].concat();
            let blocks = [&plain[..], &[0; 6], &[7]].concat();
            session.seal_blocks([3; 16], &blocks)
        }),
        ("bad load", |_, _, _| b"bad load".to_vec()),
    ];
    for (name, forge) in wrong {
        let (scene, minion) = signed_in_to_return().await;
        let before = Arc::new(Mutex::new(Vec::new()));
        let taped = Arc::clone(&before);
        let answered = Mutex::new(false);
        scene.hostile.script(move |exchange| {
            let Some((nonce, session)) = of_return(exchange) else {
                return Answer::Honest;
            };
            if text(&exchange.command().unwrap(), "jid") == Some(TAPED) {
                *taped.lock().unwrap() = session.seal(&nonce, &Value::Nil);
                let reply = taped.lock().unwrap().clone();
                return Answer::reply(encode(&reply.into()).unwrap());
            }
            if std::mem::replace(&mut *answered.lock().unwrap(), true) {
                return Answer::Honest;
            }
            let reply = forge(&nonce, &session, &taped.lock().unwrap());
            Answer::reply(encode(&reply.into()).unwrap())
        });
        scene.hostile.publish(Job::ping(TAPED)).await;
        within_reason(scene.hostile.until(|log| log.faults == 1)).await;
        scene.hostile.publish(Job::ping(JID)).await;
        let twice = |log: &scripted_master::Log| {
            log.returns().iter().filter(|jid| **jid == JID).count() == 2
        };
        within_reason(scene.hostile.until(twice)).await;
        assert_eq!(scene.hostile.read(|log| log.faults), 2, "{name}");
        assert_eq!(minion.jobs.ran(), [TAPED, JID], "{name}");
        stays(&scene, minion).await;
    }
}

/// What waits for a master's new key is bounded in bytes: the newest of twenty large jobs are run.
#[tokio::test]
async fn what_waits_for_a_new_key_is_bounded() {
    let (scene, minion) = signed_in(Contact::First).await;
    let gate = scripted_master::Gate::shut();
    let held = gate.clone();
    scene.hostile.script(move |exchange| match exchange.auth() {
        Some(_) => {
            let reply = exchange.honest();
            Answer::Steps(vec![Step::Wait(held.clone()), Step::Reply(reply)])
        }
        None => Answer::Honest,
    });
    scene.hostile.forget_keys();
    let mut jids = Vec::new();
    for number in 0..20 {
        let jid = format!("2026112500000006{number:04}");
        let job = Job {
            arg: vec![Value::from(vec![b'x'; 900_000])],
            ..Job::ping(&jid)
        };
        assert_eq!(scene.hostile.publish(job).await, 1);
        jids.push(jid);
    }
    within_reason(scene.hostile.until(|log| log.faults == 1)).await;
    // The minion has read them all when it answers what comes behind them.
    scene.hostile.ping_subscribers().await;
    within_reason(scene.hostile.until(|log| log.pongs == 1)).await;
    gate.open();
    let last = jids.last().unwrap().clone();
    within_reason(scene.hostile.until(|log| log.returned(&last))).await;
    // Four of them fit into four mebibytes.
    assert_eq!(minion.jobs.ran(), jids[16..]);
    stays(&scene, minion).await;
}

/// A master that never takes a request again, unsigned: the minion asks for new keys, which it
/// gets, and neither ends nor asks without end.
#[tokio::test]
async fn bad_load_for_ever_costs_a_few_sign_ins() {
    let (scene, minion) = signed_in_to_return().await;
    scene.hostile.script(|exchange| match exchange.command() {
        Some(_) => Answer::reply(encode(&"bad load".into()).unwrap()),
        None => Answer::Honest,
    });
    for number in 0..3 {
        let job = Job::ping(&format!("2026112500000003{number:04}"));
        let before = scene.hostile.read(|log| log.accepted);
        scene.hostile.publish(job).await;
        within_reason(scene.hostile.until(|log| log.accepted > before)).await;
    }
    scene.hostile.script(|_| Answer::Honest);
    runs_an_honest_job(&scene, 9).await;
    // Three jobs, three tries each at most.
    let sign_ins = scene.hostile.read(|log| log.sign_ins.len());
    assert!((4..=10).contains(&sign_ins), "{sign_ins}");
    assert!(scene.hostile.read(|log| log.faults) >= 3);
    stays(&scene, minion).await;
}

/// A publisher that stops in the middle of a frame answers no probe, whatever it says inside it.
#[tokio::test]
async fn a_publisher_that_never_ends_its_frame_is_left() {
    let scene = Scene::new().await;
    let store = Arc::new(Witness::new());
    let mut minion = Minion::start(&store, scene.masters(1), |setup| {
        setup.failover.master_alive_interval = Some(Duration::from_secs(1));
    });
    minion.is_on(&hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let header = [&[2_u8][..], &(1_u64 << 20).to_be_bytes()].concat();
    assert_eq!(scene.hostile.publish_bytes(header).await, 1);
    minion.is_on(GOOD).await;
    assert!(
        scene.hostile.read(|log| log.pings) > 0,
        "its PONGs were sent"
    );
    minion.end().await;
}

/// A peer that breaks ZMTP can't be believed about where its next frame begins.
#[tokio::test]
async fn a_master_that_breaks_the_protocol_is_left() {
    let raw = |says: &str, bytes: &'static [u8]| {
        Fault::steps(says, move |_| vec![Step::Raw(bytes.to_vec())])
    };
    let faults = vec![
        raw("more than 2 frames", b"\x01\x00\x01\x01x\x00\x01y"),
        raw("a reply without its delimiter", b"\x00\x01x"),
        raw(
            "the peer refused the connection: x",
            b"\x04\x08\x05ERROR\x01x",
        ),
        raw("a frame with the flags 0x08", b"\x08\x00"),
        raw("out of its place", b"\x04\x06\x05READY"),
        Fault::steps("closed the connection", |_| vec![Step::Close]),
    ];
    turns_away(Contact::First, faults).await;

    for bytes in [
        &b"\x01\x01a\x01\x01b\x00\x01c"[..],
        b"\x04\x08\x05ERROR\x01x",
        b"\x08\x00",
        b"\x04\x06\x05READY",
    ] {
        let (scene, mut minion) = signed_in(Contact::First).await;
        assert_eq!(scene.hostile.publish_bytes(bytes.to_vec()).await, 1);
        minion.is_on(GOOD).await;
        minion.end().await;
    }
}

/// Nobody hears the reply to a request that was given up, and the next one gets its own.
#[tokio::test]
async fn a_late_reply_is_not_the_next_ones() {
    let (scene, minion) = signed_in_to_return().await;
    let gate = scripted_master::Gate::shut();
    let (late, first) = (gate.clone(), Mutex::new(true));
    scene.hostile.script(move |exchange| {
        if of_return(exchange).is_none() || !std::mem::take(&mut *first.lock().unwrap()) {
            return Answer::Honest;
        }
        let reply = exchange.honest();
        Answer::Steps(vec![Step::Wait(late.clone()), Step::Reply(reply)])
    });
    scene.hostile.publish(Job::ping(JID)).await;
    let twice = |log: &scripted_master::Log| log.returns() == [JID, JID];
    within_reason(scene.hostile.until(twice)).await;
    gate.open();
    let honest = runs_an_honest_job(&scene, 1).await;
    assert_eq!(scene.hostile.read(|log| log.faults), 1);
    assert_eq!(minion.jobs.ran(), [JID.to_owned(), honest]);
    stays(&scene, minion).await;
}

/// Whoever is at the first master's address gets the minion back only by a whole handshake: that it
/// answers pings, and that it says it is the master, is nothing.
#[tokio::test]
async fn a_failback_needs_a_whole_handshake() {
    let scene = Scene::new().await;
    scene.hostile.script(|exchange| match exchange.auth() {
        Some(_) => {
            let mut load = exchange.load();
            let forged = keys()
                .stranger
                .pub_sig(Algorithm::Sha1, keys().hostile.public());
            set(&mut load, "pub_sig", forged.as_str());
            Answer::reply(pack(exchange.sign(load)))
        }
        None => Answer::Honest,
    });
    let store = Contact::Known.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(1), |setup| {
        setup.failover.master_failback = true;
        setup.failover.master_failback_interval = Some(Duration::from_millis(200));
    });
    assert_eq!(minion.connected().await, GOOD);
    within_reason(scene.hostile.until(|log| log.faults >= 4)).await;
    assert_eq!(minion.current().as_deref(), Some(GOOD));
    let log = scene.good.log();
    assert_eq!((log.sign_ins.len(), log.subscribed), (1, 1));
    assert_eq!(minion.decryptions(), Contact::First.decryptions());
    scene.hostile.script(|_| Answer::Honest);
    minion.is_on(&hostile_name(0)).await;
    minion.end().await;
}

/// A master of the fleet that wants answers from the private key gets them at the pace of the rests
/// between rounds, which grow.
#[tokio::test]
async fn refused_sign_ins_are_not_hurried() {
    let scene = Scene::new().await;
    scene.hostile.script(|exchange| {
        let mut load = exchange.load();
        set(&mut load, "aes", exchange.encrypt(b"a question"));
        Answer::reply(pack(exchange.sign(load)))
    });
    let mut masters = scene.masters(1);
    masters.pop();
    let minion = Minion::start(&Arc::new(Witness::new()), masters, |_| ());
    within_reason(scene.hostile.until(|log| log.faults >= 4)).await;
    let at: Vec<_> = scene
        .hostile
        .read(|log| log.sign_ins.iter().map(|one| one.at).collect());
    let waits: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    // Half the wait at least: one second, two, four.
    for (wait, least) in waits.iter().zip([500, 1_000, 2_000]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
    minion.end().await;
}

type Wrong = fn(&str, &SharedKey, &[u8]) -> Vec<u8>;

/// A minion that tries a return anew after a fraction of a second.
async fn signed_in_to_return() -> (Scene, Minion) {
    let scene = Scene::new().await;
    let mut minion = Minion::start(&Arc::new(Witness::new()), scene.masters(1), |setup| {
        setup.returns.retry_timer = Duration::from_millis(500);
        setup.returns.retry_timer_max = Duration::from_millis(500);
    });
    minion.is_on(&hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    // The two start events are through.
    within_reason(scene.hostile.until(|log| log.commands.len() == 2)).await;
    (scene, minion)
}

fn of_return(exchange: &Exchange<'_>) -> Option<(String, SharedKey)> {
    let load = exchange.command()?;
    let nonce = text(&load, "nonce")?.to_owned();
    let session = exchange.shared_keys(text(&load, "id")?).1;
    (text(&load, "cmd") == Some("_return")).then_some((nonce, session))
}

/// Runs an honest job, and keeps its publication.
async fn runs_and_tapes(scene: &Scene, number: usize) -> (Vec<u8>, String) {
    let jid = format!("2026112500000004{number:04}");
    let body = pack(scene.hostile.next_publication(Job::ping(&jid)));
    assert_eq!(scene.hostile.publish_frames(&[&body]).await, 1);
    within_reason(scene.hostile.until(|log| log.returned(&jid))).await;
    (body, jid)
}

const TAPED: &str = "20261125000000050000";
const JID: &str = "20261125000000050001";
