//! Publications that no honest master makes, on the stream of the master that the minion is on.

use minion::wire::msgpack::{Value, encode};
use scripted_master::reply::pack;
use scripted_master::seal::random;
use scripted_master::{Job, Keypair, Load, Master, SharedKey, publish, remove, set};

use super::keys::keys;
use super::minion::Minion;
use super::scene::{Contact, Scene, hostile_name, within_reason};
use minion::verify::Algorithm;

/// Every one of these frames is ignored: none of their jobs is run, the minion stays where it is,
/// and the honest publication behind each of them is run.
pub(super) async fn are_ignored(contact: Contact, forge: impl Fn(&Master) -> Vec<Vec<u8>>) {
    let (scene, minion) = signed_in(contact).await;
    let forged = forge(&scene.hostile);
    let mut honest = Vec::new();
    for (number, body) in forged.iter().enumerate() {
        assert_eq!(scene.hostile.publish_frames(&[body]).await, 1);
        honest.push(runs_an_honest_job(&scene, number).await);
    }
    assert_eq!(minion.jobs.ran(), honest);
    stays(&scene, minion).await;
}

/// A minion that is on the hostile master, which has been honest so far.
pub(super) async fn signed_in(contact: Contact) -> (Scene, Minion) {
    let scene = Scene::new().await;
    let store = contact.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(1), |_| ());
    minion.is_on(&hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    (scene, minion)
}

/// Publishes a job at the hostile master and waits for its return.
pub(super) async fn runs_an_honest_job(scene: &Scene, number: usize) -> String {
    let jid = format!("2026112500000001{number:04}");
    assert_eq!(scene.hostile.publish(Job::ping(&jid)).await, 1);
    within_reason(scene.hostile.until(|log| log.returned(&jid))).await;
    jid
}

pub(super) async fn stays(scene: &Scene, minion: Minion) {
    assert_eq!(minion.current(), Some(hostile_name(0)));
    let log = scene.good.log();
    assert_eq!((log.sign_ins.len(), log.connections), (0, 0));
    minion.end().await;
}

/// Sealed loads that are damaged, and signed by the master all the same.
pub(super) async fn frame_damaged(contact: Contact) {
    are_ignored(contact, |master| {
        let aes = master.aes();
        let whole = aes.seal("", &forged_job(master));
        let flip = |byte: usize| {
            let mut sealed = whole.clone();
            sealed[byte] ^= 1;
            sealed
        };
        let last = whole.len() - 1;
        let frames = [
            flip(0),
            flip(20),
            flip(last),
            whole[..last].to_vec(),
            whole[..31].to_vec(),
            Vec::new(),
            // The code is right and the length is not one of whole blocks.
            aes.authenticate(&whole[..whole.len() - 33]),
            aes.authenticate(&whole[..16]),
            aes.authenticate(&[]),
            // By another key.
            SharedKey::random().seal("", &forged_job(master)),
        ];
        frames.map(|sealed| around(master, sealed)).to_vec()
    })
    .await;
}

/// Salt cuts off as many bytes as the last one says.
pub(super) async fn padding_lax(contact: Contact) {
    are_ignored(contact, |master| {
        let aes = master.aes();
        let plain = [b"pickle::", &encode(&forged_job(master)).unwrap()[..]].concat();
        let missing = 16 - plain.len() % 16;
        let padded = |bytes: &[u8]| [&plain[..], bytes].concat();
        assert!(plain.len() < 0xff - 16, "0xff is longer than all of it");
        let mut uneven = vec![u8::try_from(missing).unwrap(); missing];
        // A full block more, in which not every byte says the same.
        uneven.extend([0; 15]);
        uneven.push(16);
        let mut longer = vec![0; missing + 15];
        longer.push(17);
        [
            padded(&vec![0; missing]),
            padded(&longer),
            padded(&uneven),
            padded(&vec![0xff; missing]),
            padded(&[&vec![0x20; missing + 16][..]].concat()),
        ]
        .map(|blocks| around(master, aes.seal_blocks(random(), &blocks)))
        .to_vec()
    })
    .await;
}

/// Serials that do not rise, or are none; and one so high that nothing can come after it until the
/// master has a new key.
pub(super) async fn serial_wrong(contact: Contact) {
    let (scene, minion) = signed_in(contact).await;
    let first = runs_an_honest_job(&scene, 0).await;
    let second = runs_an_honest_job(&scene, 1).await;
    let forged = |serial: Value, jid: &str| {
        let mut load = Job::ping(jid).into_load(0);
        set(&mut load, "serial", serial);
        pack(scene.hostile.seal_publication(load))
    };
    let wrong = [
        2_u64.into(),
        1_u64.into(),
        0_u64.into(),
        Value::from(-1_i64),
        "3".into(),
        Value::Float(3.0),
        Value::Nil,
        // Python sends what does not fit 64 bits as text.
        "18446744073709551616".into(),
    ];
    for (number, serial) in (0..).zip(wrong) {
        let body = forged(serial, &forged_jid(number));
        assert_eq!(scene.hostile.publish_frames(&[&body]).await, 1);
    }
    let mut without = Job::ping(&forged_jid(100)).into_load(0);
    remove(&mut without, "serial");
    let body = pack(scene.hostile.seal_publication(without));
    assert_eq!(scene.hostile.publish_frames(&[&body]).await, 1);
    let third = runs_an_honest_job(&scene, 2).await;

    let huge = "20261125000000020000";
    let body = forged(u64::MAX.into(), huge);
    assert_eq!(scene.hostile.publish_frames(&[&body]).await, 1);
    within_reason(scene.hostile.until(|log| log.returned(huge))).await;
    for (number, serial) in (200..).zip([u64::MAX, 4, 0]) {
        let body = forged(serial.into(), &forged_jid(number));
        assert_eq!(scene.hostile.publish_frames(&[&body]).await, 1);
    }
    scene.hostile.forget_keys();
    let fourth = runs_an_honest_job(&scene, 3).await;
    assert_eq!(minion.jobs.ran(), [&first, &second, &third, huge, &fourth]);
    stays(&scene, minion).await;
}

/// What any other minion could send: it has the AES key.
pub(super) async fn unsigned(contact: Contact) {
    are_ignored(contact, |master| {
        let mut bodies = Vec::new();
        let mut with = |change: fn(&mut Load)| {
            let mut outer = forged(master);
            change(&mut outer);
            bodies.push(pack(outer));
        };
        with(|outer| remove(outer, "sig"));
        with(|outer| set(outer, "sig", ""));
        with(|outer| set(outer, "sig", Value::Nil));
        with(|outer| {
            remove(outer, "sig");
            remove(outer, "sig_algo");
        });
        with(|outer| set(outer, "sig_algo", "none"));
        with(|outer| set(outer, "sig_algo", "PKCS1v15-SHA224"));
        with(|outer| set(outer, "enc", "clear"));
        bodies
    })
    .await;
}

/// A master of the same fleet, whose key is signed, under the AES key of the master in use
/// (CVE-2025-22236).
pub(super) async fn by_other_master(contact: Contact) {
    are_ignored(contact, |master| {
        let of = |number| Job::ping(&forged_jid(number)).into_load(HIGH + number);
        let by = |number, key: &Keypair| {
            let algorithm = Algorithm::Sha1;
            pack(publish::publication(
                of(number),
                &master.aes(),
                key,
                algorithm,
            ))
        };
        let sha224 = publish::publication(of(5), &master.aes(), master.key(), Algorithm::Sha224);
        let mut claimed = sha224.clone();
        set(&mut claimed, "sig_algo", "PKCS1v15-SHA1");
        vec![
            by(0, &keys().good),
            by(1, &keys().former),
            by(2, &keys().signer),
            by(3, &keys().stranger),
            by(4, &keys().minion),
            pack(sha224),
            pack(claimed),
        ]
    })
    .await;
}

/// In order but for somebody else, or for nobody that can be understood.
pub(super) async fn target_other(contact: Contact) {
    are_ignored(contact, |master| {
        let mut bodies = Vec::new();
        let mut to = |tgt_type: &str, tgt: Value| {
            let serial = master.next_serial();
            let job = Job {
                tgt,
                tgt_type: tgt_type.to_owned(),
                ..Job::ping(&forged_jid(serial))
            };
            bodies.push(pack(master.seal_publication(job.into_load(serial))));
        };
        to("glob", "neighbour.example.org".into());
        to("glob", "".into());
        to("glob", "minion".into());
        to("glob", Value::Nil);
        to("list", Value::Array(vec!["neighbour".into()]));
        to("list", Value::Array(Vec::new()));
        to("list", "neighbour,another".into());
        to("list", Value::Nil);
        to("pcre", "neighbour.*".into());
        to("pcre", "(".into());
        to("pcre", "".into());
        to("grain", "os:Plan9".into());
        to("grain", "".into());
        to("compound", "* or *".into());
        to("nodegroup", "all".into());
        to("ipcidr", "0.0.0.0/0".into());
        to("", "*".into());
        to("no such kind", "*".into());
        bodies
    })
    .await;
}

/// A job that must not run, sealed and signed in order.
fn forged(master: &Master) -> Load {
    let serial = master.next_serial();
    master.seal_publication(Job::ping(&forged_jid(serial)).into_load(serial))
}

fn forged_job(master: &Master) -> Value {
    let serial = master.next_serial();
    Value::Map(Job::ping(&forged_jid(serial)).into_load(serial))
}

/// A name for each, so that none is passed over because of one before it.
fn forged_jid(serial: u64) -> String {
    format!("2026112500000009{serial:04}")
}

fn around(master: &Master, sealed: Vec<u8>) -> Vec<u8> {
    pack(publish::around(sealed, master.key(), Algorithm::Sha1))
}

/// A serial that would be new.
const HIGH: u64 = 1_000_000;
