//! The nine rules of the minion's side, where a cell of the matrix does not already hold one.

use std::num::NonZeroU16;
use std::time::Duration;

use minion::agent::MasterState;
use minion::wire::msgpack::Value;
use minion::wire::private_key::Encryption;
use scripted_master::reply::{hand_over, in_clear, pack, signed, turned_away};
use scripted_master::{
    Answer, Hello, Job, Master, Setup, SharedKey, Verdict, publish, remove, set,
};

use minion::verify::Algorithm;

use super::keys::keys;
use super::minion::{Minion, Witness, identity};
use super::publication::{runs_an_honest_job, signed_in, stays};
use super::scene::{
    Contact, Fault, GOOD, Scene, configured, hostile_name, turns_away, within_reason,
};

/// Rule 1.
#[tokio::test]
async fn each_master_is_known_by_a_key_of_its_own() {
    let (scene, mut minion) = signed_in(Contact::First).await;
    scene.hostile.disconnect();
    minion.is_on(GOOD).await;
    within_reason(scene.good.until(|log| log.subscribed == 1)).await;
    scene.good.decide(Verdict::TurnedAway("full".into()));
    scene.good.disconnect();
    minion.is_on(&hostile_name(0)).await;
    // It is a known master still: what came of the good one has not replaced its key.
    assert!(scene.hostile.read(|log| log.sign_ins[1].has_token));
    let pins = minion.store.pinned_since();
    let at = |master: &Master| configured("", master).endpoint();
    let (hostile, good) = (keys().hostile.public().hash(), keys().good.public().hash());
    let expected = [
        (at(&scene.hostile), hostile),
        (at(&scene.good), good),
        (at(&scene.hostile), hostile),
    ];
    assert_eq!(pins, expected);
    minion.end().await;
}

/// Rule 2: a handshake that is complete but for the publications' connection.
#[tokio::test]
async fn nothing_is_written_down_before_the_whole_handshake() {
    for contact in [Contact::First, Contact::Known, Contact::Changed] {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = closed.local_addr().unwrap().port();
        drop(closed);
        let unreachable = Fault::load("the master could not be reached", move |load, _| {
            set(load, "publish_port", u64::from(port));
        });
        turns_away(contact, vec![unreachable.after(contact.decryptions())]).await;
    }
}

/// Rule 3: the key in hand and the one pinned are the same, and it makes no difference.
#[tokio::test]
async fn the_signature_is_asked_for_at_every_handshake() {
    let (scene, mut minion) = signed_in(Contact::Known).await;
    runs_an_honest_job(&scene, 0).await;
    let unsigned = Fault::load("", |load, _| remove(load, "pub_sig"));
    scene.script(&vec![unsigned].into());
    scene.hostile.forget_keys();
    scene
        .hostile
        .publish(Job::ping("20261125000000000001"))
        .await;
    minion.is_on(GOOD).await;
    let said = minion.outcome(0);
    assert!(
        said.contains("did not send its public-key signature"),
        "{said}"
    );
    assert_eq!(scene.hostile.read(|log| log.faults), 1);
    minion.end().await;
}

/// Rule 4: whoever is not the master cannot even make the minion sign in again.
#[tokio::test]
async fn a_publication_is_judged_by_its_signature_before_its_seal() {
    let (scene, minion) = signed_in(Contact::First).await;
    let load = Job::ping("20261125000000000001").into_load(1_000);
    for signer in [&keys().stranger, &keys().good] {
        let outer =
            publish::publication(load.clone(), &SharedKey::random(), signer, Algorithm::Sha1);
        assert_eq!(scene.hostile.publish_frames(&[&pack(outer)]).await, 1);
    }
    let honest = runs_an_honest_job(&scene, 0).await;
    assert_eq!(minion.jobs.ran(), [honest]);
    assert_eq!(scene.hostile.read(|log| log.sign_ins.len()), 1);
    // The master itself can: that is how its new key is noticed.
    let outer = publish::publication(load, &SharedKey::random(), &keys().hostile, Algorithm::Sha1);
    scene.hostile.publish_frames(&[&pack(outer)]).await;
    within_reason(scene.hostile.until(|log| log.accepted == 2)).await;
    runs_an_honest_job(&scene, 1).await;
    stays(&scene, minion).await;
}

/// Rule 5: the same words and the same work, whatever was wrong with a ciphertext.
#[tokio::test]
async fn what_fails_behind_the_private_key_is_indistinct() {
    let scene = Scene::new().await;
    let sealed = |field: &'static str, text: &'static [u8]| {
        Fault::load("", move |load, exchange| {
            set(load, field, exchange.encrypt(text));
        })
    };
    let raw = |field: &'static str, bytes: Vec<u8>| {
        Fault::load("", move |load, _| set(load, field, bytes.clone()))
    };
    let faults = vec![
        sealed("aes", b"short"),
        sealed("session", b"short"),
        sealed("token", b"short"),
        raw("aes", vec![0; 256]),
        raw("aes", vec![0; 3]),
        raw("session", vec![0xff; 256]),
        raw("token", vec![1; 256]),
        raw("sig", vec![1; 256]),
        raw("sig", Vec::new()),
    ];
    let count = faults.len();
    scene.script(&faults.into());
    let store = Contact::Known.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(count), |_| ());
    assert_eq!(minion.connected().await, GOOD);
    assert_eq!(scene.hostile.read(|log| log.faults), count as u64);
    let first = minion.outcome(0);
    assert!(first.contains("did not authenticate!"), "{first}");
    for number in 1..count {
        assert_eq!(minion.outcome(number), first);
    }
    let each = Contact::Known.decryptions() * count as u64;
    assert_eq!(minion.decryptions(), each + Contact::First.decryptions());
    minion.end().await;
}

/// Rule 7: what turns a minion away is believed when the known master signed it over our nonce.
#[tokio::test]
async fn only_a_known_masters_signed_word_ends_the_minion() {
    let scene = Scene::new().await;
    scene.good.decide(Verdict::TurnedAway(false.into()));
    // Whoever stands between says so too, and cannot sign it.
    scene
        .hostile
        .script(|_| Answer::reply(pack(in_clear(false.into()))));
    let store = Witness::new()
        .knowing(&configured("", &scene.good), keys().good.public())
        .knowing(&configured("", &scene.hostile), keys().hostile.public())
        .into();
    let mut minion = Minion::start(&store, scene.masters(1), |_| ());
    minion.says(1, "signed by the known master").await;
    within_reason(scene.hostile.until(|log| log.faults >= 2)).await;
    within_reason(scene.good.until(|log| log.sign_ins.len() >= 2)).await;
    minion.end().await;

    // Both say it themselves, and the minion is told that it is not wanted.
    scene.hostile.script(|_| Answer::Honest);
    scene.hostile.decide(Verdict::TurnedAway(false.into()));
    let minion = Minion::start(&store, scene.masters(1), |_| ());
    minion.has_no_permission().await;
}

/// Rule 7, on first contact: no key says that it is the master, so a minion stays pending there, as
/// the tutorial wants it, and neither believes nor keeps anything.
#[tokio::test]
async fn a_pending_answer_before_the_first_handshake_is_a_wait_and_no_more() {
    let scene = Scene::new().await;
    scene.hostile.script(|exchange| {
        let nonce = &exchange.auth().unwrap().nonce;
        Answer::reply(pack(exchange.sign(turned_away(true.into(), nonce))))
    });
    let store = Witness::new().into();
    let mut minion = Minion::start(&store, scene.masters(1), |setup| {
        setup.failover.acceptance_wait_time = Duration::from_secs(1);
    });
    minion
        .says(0, "not verifiable before the first complete sign-in")
        .await;
    assert_eq!(minion.state(0), MasterState::Pending);
    within_reason(scene.hostile.until(|log| log.faults >= 2)).await;
    assert_eq!(minion.store.written(), []);
    scene.hostile.script(|_| Answer::Honest);
    minion.is_on(&hostile_name(0)).await;
    minion.end().await;
}

/// Rule 9: who can keep the good masters' packets away gets the minion to nobody else.
#[tokio::test]
async fn without_a_valid_master_there_is_none() {
    let silent = Setup {
        hello: Hello::Other(Vec::new()),
        ..Setup::new(&keys().hostile, &keys().signer)
    };
    let silent = Master::start(silent).await;
    let impostor = Master::start(Setup::new(&keys().stranger, &keys().stranger)).await;
    let mut masters = vec![
        configured("silent", &silent),
        configured("impostor", &impostor),
        configured("gone", &impostor),
    ];
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    masters[2].port = NonZeroU16::new(closed.local_addr().unwrap().port()).unwrap();
    drop(closed);
    let store = Witness::new().into();
    let mut minion = Minion::start(&store, masters.clone(), |setup| {
        setup.failover.auth_timeout = Duration::from_millis(500);
    });
    within_reason(impostor.until(|log| log.sign_ins.len() >= 2)).await;
    within_reason(silent.until(|log| log.connections >= 2)).await;
    minion.says(1, "signature verification failed").await;
    assert_eq!(minion.current(), None);
    assert_eq!((minion.store.written().len(), minion.decryptions()), (0, 0));
    minion.end().await;

    // As soon as one is there, it is found.
    let good = Master::start(Setup::new(&keys().good, &keys().signer)).await;
    masters.push(configured(GOOD, &good));
    let mut minion = Minion::start(&store, masters, |setup| {
        setup.failover.auth_timeout = Duration::from_secs(2);
    });
    assert_eq!(minion.connected().await, GOOD);
    minion.end().await;
}

/// Rule 9, for what the minion itself says: nothing that it hears makes it ask for less.
#[tokio::test]
async fn no_answer_makes_the_minion_ask_for_less() {
    let scene = Scene::new().await;
    let mut faults = Vec::new();
    for word in ["bad sig algo", "bad enc algo"] {
        faults.push(Fault::reply("", move |_| pack(in_clear(word.into()))));
    }
    for word in ["bad load", "Some exception handling minion payload", ""] {
        faults.push(Fault::reply("", move |_| {
            minion::wire::msgpack::encode(&word.into()).unwrap()
        }));
    }
    for version in [0_u64, 1, 2] {
        faults.push(Fault::outer("", move |outer, _| {
            set(outer, "version", version);
        }));
    }
    faults.push(Fault::outer("", |outer, _| {
        set(outer, "sig_algo", "PKCS1v15-SHA224");
    }));
    faults.push(Fault::reply("", |_| {
        pack(vec![("error".into(), Value::from("Routing error"))])
    }));
    let count = faults.len();
    scene.script(&faults.into());
    // One round of refusals over a list of nothing else, and an honest answer in the next.
    let mut masters = scene.masters(count);
    masters.pop();
    let store = Witness::new().into();
    let mut minion = Minion::start(&store, masters, |_| ());
    minion.connected().await;
    let log = scene.hostile.log();
    assert_eq!((log.faults, log.sign_ins.len()), (count as u64, count + 1));
    let asked = ["OAEP-SHA1".to_owned(), "PKCS1v15-SHA1".to_owned()];
    for sign_in in &log.sign_ins {
        assert_eq!((sign_in.version, &sign_in.algorithms), (3, &asked));
        assert_eq!(sign_in.key, *keys().minion.public());
    }
    minion.end().await;
}

/// Rule 8: a minion of the stronger algorithms takes nothing of the weaker ones, although its
/// master signs and encrypts with them in order.
#[tokio::test]
async fn a_minion_of_sha_224_takes_no_sha_1() {
    let scene = Scene::new().await;
    let hostile = keys().hostile.public();
    let weaker = keys().signer.pub_sig(Algorithm::Sha1, hostile);
    let faults = vec![
        Fault::load("", move |load, _| set(load, "pub_sig", weaker.as_str())),
        Fault::reply("", |exchange| {
            pack(signed(
                &pack(exchange.load()),
                exchange.key(),
                Algorithm::Sha1,
            ))
        }),
        Fault::load("", |load, exchange| {
            let (aes, session) = exchange.shared_keys(&exchange.auth().unwrap().id);
            for (name, key) in [("aes", aes), ("session", session)] {
                let sealed = hand_over(&key, keys().minion.public(), Encryption::Sha1);
                set(load, name, sealed);
            }
        }),
        Fault::outer("", |outer, _| set(outer, "sig_algo", "PKCS1v15-SHA1")),
    ];
    let count = faults.len();
    scene.script(&faults.into());
    let store = Witness::new().into();
    let mut minion = Minion::start(&store, scene.masters(count), |setup| {
        setup.identity = identity(Algorithm::Sha224, Encryption::Sha224);
    });
    assert_eq!(minion.connected().await, GOOD);
    let causes = [
        "signature verification failed",
        "payload signature did not validate",
        "did not authenticate!",
        "names another sig_algo",
    ];
    for (number, cause) in causes.iter().enumerate() {
        let said = minion.outcome(number);
        assert!(said.contains(cause), "{number}: {said}");
    }
    let asked = ["OAEP-SHA224".to_owned(), "PKCS1v15-SHA224".to_owned()];
    let log = scene.hostile.log();
    assert!(log.sign_ins.iter().all(|one| one.algorithms == asked));
    assert_eq!(log.faults, count as u64);
    minion.end().await;
}

/// A nonce is never used twice, whatever becomes of the attempt.
#[tokio::test]
async fn every_sign_in_has_a_nonce_of_its_own() {
    let scene = Scene::new().await;
    let faults: Vec<_> = (0..32)
        .map(|_| Fault::reply("", |_| pack(in_clear("full".into()))))
        .collect();
    let count = faults.len();
    scene.script(&faults.into());
    let store = Witness::new().into();
    let mut minion = Minion::start(&store, scene.masters(count), |_| ());
    assert_eq!(minion.connected().await, GOOD);
    let mut nonces: Vec<_> = scene.hostile.log().sign_ins;
    nonces.sort_by(|one, other| one.nonce.cmp(&other.nonce));
    nonces.dedup_by(|one, other| one.nonce == other.nonce);
    assert_eq!(nonces.len(), count);
    minion.end().await;
}
