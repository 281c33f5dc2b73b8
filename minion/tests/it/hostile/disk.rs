//! The minion's own directory under attack: what is on the disk before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use minion::pki::{PkiError, Store};
use minion::wire::msgpack::{Value, encode};
use scripted_master::reply::{in_clear, pack, signed, turned_away};
use scripted_master::{Job, remove, set};
use tempfile::TempDir;

use minion::verify::Algorithm;

use super::keys::keys;
use super::minion::Minion;
use super::scene::{Contact, Fault, GOOD, Scene, configured, hostile_name, within_reason};

/// Rule 8 for the key that vouches for all the others, wherever it lies.
#[test]
fn a_weak_signing_key_vouches_for_nobody() {
    for weak in [&keys().short, &keys().small_exponent] {
        for name in ["master_sign.pub", "master_sign.d/next.pub"] {
            let directory = directory();
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, weak.public().to_file()).unwrap();
            let error = open(&directory).signing_keys().unwrap_err();
            assert!(
                matches!(&error, PkiError::Weak { path: named, bits }
                    if *named == path && *bits == weak.public().bits()),
                "{error}"
            );
        }
    }
}

/// Rules 2 and 6: a handshake that does not end well leaves no trace, and one that does changes
/// nothing that an operator put there.
#[tokio::test]
async fn an_attack_leaves_the_directory_as_it_was() {
    for contact in [Contact::First, Contact::Known, Contact::Changed] {
        let scene = Scene::new().await;
        let directory = directory();
        let store = open(&directory);
        let master = configured("", &scene.hostile).endpoint();
        match contact {
            Contact::First => {}
            Contact::Known => store.pin(&master, keys().hostile.public()).unwrap(),
            Contact::Changed => store.pin(&master, keys().former.public()).unwrap(),
        }
        let before = snapshot(directory.path());
        let faults = faults();
        let count = faults.len();
        scene.script(&faults.into());
        let mut masters = scene.masters(count);
        masters.pop();
        let mut minion = Minion::start(&store, masters.clone(), |_| ());
        // Any words at all.
        minion.says(count - 1, " ").await;
        assert_eq!(scene.hostile.read(|log| log.faults), count as u64);
        assert_eq!(snapshot(directory.path()), before, "{contact:?}");

        // The next round is answered honestly.
        minion.connected().await;
        within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
        let jid = "20261125000000000001";
        scene.hostile.publish(Job::ping(jid)).await;
        within_reason(scene.hostile.until(|log| log.returned(jid))).await;
        let after = snapshot(directory.path());
        let own = |name: &String| name.starts_with("masters/");
        assert!(after.keys().any(own));
        let rest = |files: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
            let rest = files.iter().filter(|(name, _)| !own(name));
            rest.map(|(name, bytes)| (name.clone(), bytes.clone()))
                .collect()
        };
        assert_eq!(rest(&after), rest(&before), "{contact:?}");
        let pinned = store.pinned(&master).unwrap();
        assert_eq!(pinned.as_ref(), Some(keys().hostile.public()));
        minion.end().await;
    }
}

/// Rule 2: a key that has not begun or has ended signs for nobody.
#[tokio::test]
async fn a_signing_key_counts_between_its_dates_only() {
    for (dates, counts) in [
        ("# not-after: 2020-01-01T00:00:00Z", false),
        ("# not-before: 2999-01-01T00:00:00Z", false),
        (
            "# not-before: 2020-01-01T00:00:00Z\n# not-after: 2999-01-01T00:00:00Z",
            true,
        ),
    ] {
        let scene = Scene::new().await;
        let directory = directory();
        let more = directory.path().join("master_sign.d");
        fs::create_dir(&more).unwrap();
        let key = keys().retired.public().to_file();
        fs::write(more.join("old.pub"), format!("{dates}\n\n{key}")).unwrap();
        let by_it = keys()
            .retired
            .pub_sig(Algorithm::Sha1, keys().hostile.public());
        let signed = Fault::load("", move |load, _| set(load, "pub_sig", by_it.as_str()));
        scene.script(&Arc::new(vec![signed]));
        let mut minion = Minion::start(&open(&directory), scene.masters(1), |_| ());
        if counts {
            minion.is_on(&hostile_name(0)).await;
        } else {
            minion.is_on(GOOD).await;
            let said = minion.outcome(0);
            assert!(said.contains("signature"), "{dates}: {said}");
        }
        assert_eq!(scene.hostile.read(|log| log.faults), 1, "{dates}");
        minion.end().await;
    }
}

/// The serial is on the disk before the job runs.
#[tokio::test]
async fn a_replay_is_not_run_after_a_restart_from_disk() {
    let scene = Scene::new().await;
    let directory = directory();
    let store = open(&directory);
    let minion = Minion::start(&store, scene.masters(1), |_| ());
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let (first, second) = ("20261125000000000001", "20261125000000000002");
    let taped = pack(scene.hostile.next_publication(Job::ping(first)));
    scene.hostile.publish_frames(&[&taped]).await;
    within_reason(scene.hostile.until(|log| log.returned(first))).await;
    minion.end().await;
    within_reason(scene.hostile.until(|log| log.subscribed == 0)).await;

    let mut minion = Minion::start(&open(&directory), scene.masters(1), |_| ());
    minion.is_on(&hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    scene.hostile.publish_frames(&[&taped]).await;
    scene.hostile.publish(Job::ping(second)).await;
    within_reason(scene.hostile.until(|log| log.returned(second))).await;
    assert_eq!(minion.jobs.ran(), [second]);
    minion.end().await;
}

/// One at each stage of the handshake, in the order of the stages.
fn faults() -> Vec<Fault> {
    vec![
        Fault::reply("", |_| vec![0xc1]),
        Fault::reply("", |_| encode(&"bad load".into()).unwrap()),
        Fault::reply("", |_| pack(in_clear("full".into()))),
        Fault::outer("", |outer, _| remove(outer, "sig")),
        Fault::outer("", |outer, _| set(outer, "sig_algo", "PKCS1v15-SHA224")),
        Fault::load("", |load, _| remove(load, "pub_sig")),
        Fault::load("", |load, _| {
            let forged = keys()
                .stranger
                .pub_sig(Algorithm::Sha1, keys().hostile.public());
            set(load, "pub_sig", forged.as_str());
        }),
        Fault::load("", |load, _| set(load, "pub_key", "no key")),
        Fault::reply("", |exchange| {
            pack(signed(
                &pack(exchange.load()),
                &keys().good,
                Algorithm::Sha1,
            ))
        }),
        Fault::load("", |load, _| set(load, "nonce", "0".repeat(32).as_str())),
        Fault::load("", |load, _| set(load, "aes", vec![0; 256])),
        Fault::load("", |load, _| set(load, "session", vec![0; 256])),
        Fault::load("", |load, _| set(load, "sig", vec![1; 256])),
        Fault::load("", |load, _| set(load, "publish_port", 1_u64)),
        Fault::reply("", |exchange| {
            let load = turned_away(Value::from("full"), &exchange.auth().unwrap().nonce);
            pack(exchange.sign(load))
        }),
    ]
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(
        path.join("master_sign.pub"),
        keys().signer.public().to_file(),
    )
    .unwrap();
    fs::write(path.join("minion.pem"), keys().minion.to_pem()).unwrap();
    // What a stock minion of the same host has; it is nobody's business here.
    fs::write(
        path.join("minion_master.pub"),
        keys().good.public().to_file(),
    )
    .unwrap();
    directory
}

fn open(directory: &TempDir) -> Arc<Store> {
    Arc::new(Store::open(directory.path(), "master_sign").unwrap())
}

/// Every file below the directory with its content, and every folder.
fn snapshot(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() {
                files.insert(format!("{name}/"), Vec::new());
                folders.push(path);
            } else {
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}
