//! What costs a careless minion its memory or its time.

use std::time::Duration;

use minion::wire::msgpack::Value;
use minion::zmtp::MESSAGE_LIMIT;
use scripted_master::reply::{pack, signed};
use scripted_master::{Gate, Hello, Setup, Step, publish, set};

use minion::verify::Algorithm;

use super::keys::keys;
use super::minion::Minion;
use super::publication::{runs_an_honest_job, signed_in, stays};
use super::scene::{
    Contact, Fault, GOOD, Scene, turns_away, within_reason, works_for_the_good_master,
};

/// Depth and length, before the signature, behind it and behind the seal.
pub(super) async fn msgpack_bomb(contact: Contact) {
    let mut faults = Vec::new();
    for bomb in bombs() {
        let (bare, inner) = (bomb.clone(), bomb);
        faults.push(Fault::reply("cannot be decoded", move |_| bare.clone()));
        faults.push(Fault::reply("cannot be decoded", move |_| {
            pack(signed(&inner, &keys().hostile, Algorithm::Sha1))
        }));
    }
    turns_away(contact, faults).await;

    let (scene, minion) = signed_in(contact).await;
    let aes = scene.hostile.aes();
    let mut honest = Vec::new();
    for (number, bomb) in bombs().into_iter().enumerate() {
        let plain = [b"pickle::", &bomb[..]].concat();
        let missing = 16 - plain.len() % 16;
        let padding = vec![u8::try_from(missing).unwrap(); missing];
        let sealed = aes.seal_blocks([7; 16], &[plain, padding].concat());
        let behind_the_seal = pack(publish::around(
            sealed,
            scene.hostile.key(),
            Algorithm::Sha1,
        ));
        for body in [&bomb, &behind_the_seal] {
            assert_eq!(scene.hostile.publish_frames(&[body]).await, 1);
        }
        honest.push(runs_an_honest_job(&scene, number).await);
    }
    assert_eq!(minion.jobs.ran(), honest);
    stays(&scene, minion).await;
}

fn bombs() -> Vec<Vec<u8>> {
    let mut deep = vec![0x91; 100_000];
    deep.push(0xc0);
    let mut deep_map = b"\x81\xa1x".repeat(100_000);
    deep_map.push(0xc0);
    let mut wide = vec![0xdd, 0, 0x0f, 0, 0];
    wide.resize(900_000, 0xc0);
    vec![
        deep,
        deep_map,
        wide,
        b"\xdd\xff\xff\xff\xff".to_vec(),
        b"\xdf\xff\xff\xff\xff".to_vec(),
        b"\xdb\xff\xff\xff\xff".to_vec(),
        b"\xc6\xff\xff\xff\xff".to_vec(),
    ]
}

/// A hundred megabytes in one frame: refused at its header, so that next to nothing is read.
pub(super) async fn huge_frame(contact: Contact) {
    let says = "the peer sent a message of at least 104857600 bytes; the limit is 4194304";
    let whole = Fault::steps(says, |_| vec![Step::Flood(HUGE)]);
    let largest = Fault::steps("the peer sent a message of at least", |_| {
        vec![Step::Flood(u64::MAX)]
    });
    let command = Fault::steps("the peer sent a command of", |_| {
        let header = [&[6_u8][..], &HUGE.to_be_bytes()].concat();
        vec![Step::Raw(header)]
    });
    let scene = Scene::new().await;
    let faults = vec![whole, largest, command];
    let memory = contact.memory(&scene);
    let hostile = scene.hostile.watch();
    super::scene::turns_away_by(scene, memory, faults).await;
    // What the two systems hold between them, and not what was announced.
    let taken = hostile.borrow().flooded;
    assert!(taken <= SYSTEM_BUFFERS, "{taken} bytes were read");

    let (scene, mut minion) = signed_in(contact).await;
    let header = [&[2_u8][..], &HUGE.to_be_bytes()].concat();
    assert_eq!(scene.hostile.publish_bytes(header).await, 1);
    minion.is_on(GOOD).await;
    assert_eq!(minion.jobs.ran(), [""; 0]);
    minion.end().await;
}

/// One byte at a time, of the greeting and of the reply: the deadline is for the whole.
pub(super) async fn trickle(contact: Contact) {
    let setup = Setup {
        hello: Hello::Trickle(TRICKLE),
        ..Setup::new(&keys().hostile, &keys().signer)
    };
    gives_up(Scene::with(setup).await, contact, 0).await;

    let scene = Scene::new().await;
    scene.hostile.script(|exchange| {
        let body = exchange.honest();
        let size = (body.len() as u64).to_be_bytes();
        let bytes = [&[1, 0, 2][..], &size, &body].concat();
        scripted_master::Answer::Steps(vec![Step::Trickle {
            bytes,
            every: TRICKLE,
        }])
    });
    gives_up(scene, contact, 1).await;
}

/// The answer comes when nobody waits for it any more.
pub(super) async fn reply_late(contact: Contact) {
    let scene = Scene::new().await;
    let gate = Gate::shut();
    let late = gate.clone();
    scene.hostile.script(move |exchange| {
        let reply = exchange.honest();
        scripted_master::Answer::Steps(vec![Step::Wait(late.clone()), Step::Reply(reply)])
    });
    let (scene, minion) = given_up(scene, contact, 1).await;
    gate.open();
    // There is no connection left on which it could arrive.
    within_reason(scene.hostile.until(|log| log.requesting == 0)).await;
    ended_well(&scene, minion).await;
}

async fn gives_up(scene: Scene, contact: Contact, sign_ins: usize) {
    let (scene, minion) = given_up(scene, contact, sign_ins).await;
    ended_well(&scene, minion).await;
}

async fn given_up(scene: Scene, contact: Contact, sign_ins: usize) -> (Scene, Minion) {
    let store = contact.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(1), |setup| {
        setup.failover.auth_timeout = DEADLINE;
    });
    assert_eq!(minion.connected().await, GOOD);
    let log = scene.hostile.log();
    assert!(log.faults >= 1, "the fault was reached");
    assert!(log.sign_ins.len() >= sign_ins);
    assert_eq!(log.subscribed, 0);
    let said = minion.outcome(0);
    assert!(
        said.contains("longer than") || said.contains("no answer"),
        "{said}"
    );
    assert_eq!(minion.decryptions(), Contact::First.decryptions());
    (scene, minion)
}

async fn ended_well(scene: &Scene, minion: Minion) {
    works_for_the_good_master(scene, &minion).await;
    minion.end().await;
}

/// The first reply counts and no other: not the honest one behind a forged one, and nothing behind
/// an honest one is taken for the answer to the next request.
pub(super) async fn two_replies(contact: Contact) {
    let forged = Fault::steps("Invalid nonce", |exchange| {
        let mut load = exchange.load();
        set(&mut load, "nonce", "0".repeat(32).as_str());
        vec![
            Step::Reply(pack(exchange.sign(load))),
            Step::Reply(exchange.honest()),
        ]
    });
    let hint = Fault::steps("bad load", |exchange| {
        let bad_load = minion::wire::msgpack::encode(&"bad load".into()).unwrap();
        vec![Step::Reply(bad_load), Step::Reply(exchange.honest())]
    });
    turns_away(contact, vec![forged, hint]).await;

    let scene = Scene::new().await;
    let twice = Fault::steps("", |exchange| {
        let honest = exchange.honest();
        let session = exchange.shared_keys(&exchange.auth().unwrap().id).1;
        let next = session.seal(&exchange.auth().unwrap().nonce, &Value::Nil);
        let next = minion::wire::msgpack::encode(&next.into()).unwrap();
        vec![Step::Reply(honest), Step::Reply(next)]
    });
    scene.script(&vec![twice].into());
    let store = contact.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(1), |_| ());
    minion.is_on(&super::scene::hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let honest = runs_an_honest_job(&scene, 0).await;
    assert_eq!(minion.jobs.ran(), [honest]);
    // The connection that said more than it was asked is not used again: request, publications,
    // and the request's again.
    within_reason(scene.hostile.until(|log| log.connections >= 3)).await;
    assert_eq!(scene.hostile.read(|log| log.bad_loads), 0);
    stays(&scene, minion).await;
}

/// Longer than an honest master needs on a busy machine, shorter than a trickle.
const DEADLINE: Duration = Duration::from_secs(2);

/// A reply takes over a minute like that, a greeting five seconds.
const TRICKLE: Duration = Duration::from_millis(50);

const HUGE: u64 = 100 << 20;

/// Loopback's buffers on both sides are at most some megabytes; a message that is within the limit
/// would fit as well.
const SYSTEM_BUFFERS: u64 = 4 * MESSAGE_LIMIT as u64;
