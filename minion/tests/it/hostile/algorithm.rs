//! Answers by another algorithm than the one that the minion is configured with, to a stock minion
//! and to one of the stronger algorithms.

use minion::verify::Algorithm;
use minion::wire::msgpack::Value;
use minion::wire::private_key::Encryption;
use scripted_master::reply::{hand_over, in_clear, pack, signed};
use scripted_master::{Exchange, Job, Load, Setup, publish, remove, set};

use super::keys::keys;
use super::minion::Minion;
use super::publication::{runs_an_honest_job, stays};
use super::scene::{
    Contact, Fault, Scene, hostile_name, turns_away, turns_away_with_sha224, within_reason,
};
use super::sign_in::{FORGED, INDISTINCT, UNPROVEN};

/// A stock minion, and one of SHA-224, for which the other algorithm is a real downgrade.
pub(super) async fn sig_algo_changed(contact: Contact) {
    turns_away(contact, other_signing(Algorithm::Sha224)).await;
    turns_away_with_sha224(contact, other_signing(Algorithm::Sha1)).await;
    publications_of_sha1(contact).await;
}

/// In a fleet that signs its publications with SHA-224 none of SHA-1 is run, whatever it names,
/// although its own master made it.
async fn publications_of_sha1(contact: Contact) {
    let stronger = Setup {
        publishing: Algorithm::Sha224,
        ..Setup::new(&keys().hostile, &keys().signer)
    };
    let scene = Scene::with(stronger).await;
    let store = contact.memory(&scene).into();
    let mut minion = Minion::start(&store, scene.masters(1), |setup| {
        setup.publications = Algorithm::Sha224;
    });
    minion.is_on(&hostile_name(0)).await;
    within_reason(scene.hostile.until(|log| log.subscribed == 1)).await;
    let (aes, key) = (scene.hostile.aes(), scene.hostile.key());
    let names = [
        Some("PKCS1v15-SHA1"),
        Some("PKCS1v15-SHA224"),
        Some(""),
        None,
    ];
    let mut honest = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let job = Job::ping(&format!("2026112500000008{number:04}"));
        let load = job.into_load(scene.hostile.next_serial());
        let mut outer = publish::publication(load, &aes, key, Algorithm::Sha1);
        match name {
            Some(name) => set(&mut outer, "sig_algo", name),
            None => remove(&mut outer, "sig_algo"),
        }
        assert_eq!(scene.hostile.publish_frames(&[&pack(outer)]).await, 1);
        honest.push(runs_an_honest_job(&scene, number).await);
    }
    assert_eq!(minion.jobs.ran(), honest);
    stays(&scene, minion).await;
}

/// Whatever the answer names: the master signs by what it names, or as it should, or by the other
/// without a word.
fn other_signing(other: Algorithm) -> Vec<Fault> {
    let says = "the message names another sig_algo";
    let mut faults = Vec::new();
    for name in [other.name(), "PKCS1v15-SHA512", "none", ""] {
        faults.push(Fault::outer(says, move |outer, _| {
            set(outer, "sig_algo", name);
        }));
        faults.push(Fault::load(says, move |load, _| {
            set(load, "sig_algo", name);
        }));
    }
    faults.push(Fault::outer(says, |outer, _| {
        set(outer, "sig_algo", Value::Nil);
    }));
    let vouched = keys().signer.pub_sig(other, keys().hostile.public());
    let by_other = move |says, vouch: bool, name_it: bool| {
        let vouched = vouched.clone();
        Fault::reply(says, move |exchange| {
            let mut load = exchange.load();
            if vouch {
                set(&mut load, "pub_sig", vouched.as_str());
            }
            let mut outer = signed(&pack(load), exchange.key(), other);
            if name_it {
                set(&mut outer, "sig_algo", other.name());
            }
            pack(outer)
        })
    };
    faults.extend([
        // What a master sends whose minion has asked for the other one, and says so.
        by_other(says, true, true),
        by_other(says, false, true),
        by_other(FORGED, true, false),
        by_other(UNPROVEN, false, false),
    ]);
    let says = "a signing algorithm that is not supported by it's Master";
    faults.push(Fault::reply(says, |_| {
        pack(in_clear("bad sig algo".into()))
    }));
    faults
}

pub(super) async fn enc_algo_changed(contact: Contact) {
    turns_away(contact, other_encryption(contact, Encryption::Sha224)).await;
    turns_away_with_sha224(contact, other_encryption(contact, Encryption::Sha1)).await;
}

fn other_encryption(contact: Contact, other: Encryption) -> Vec<Fault> {
    let says = "the message names another enc_algo";
    let by_other = move |load: &mut Load, exchange: &Exchange<'_>| {
        let (aes, session) = exchange.shared_keys(&exchange.auth().unwrap().id);
        for (name, key) in [("aes", aes), ("session", session)] {
            let sealed = hand_over(&key, keys().minion.public(), other);
            set(load, name, sealed);
        }
    };
    let mut faults = Vec::new();
    for name in [other.name(), "PKCS1v15", ""] {
        faults.push(Fault::outer(says, move |outer, _| {
            set(outer, "enc_algo", name);
        }));
        faults.push(Fault::load(says, move |load, exchange| {
            by_other(load, exchange);
            set(load, "enc_algo", name);
        }));
    }
    // Encrypted by the other algorithm, which nobody says.
    let silent = Fault::load(INDISTINCT, by_other);
    faults.push(silent.after(contact.decryptions()));
    let says = "a encryption algorithm that is not supported by it's Master";
    faults.push(Fault::reply(says, |_| {
        pack(in_clear("bad enc algo".into()))
    }));
    faults
}
