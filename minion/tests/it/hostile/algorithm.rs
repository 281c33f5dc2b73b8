//! Answers by another algorithm than the one that the minion is configured with, to a stock minion
//! and to one of the stronger algorithms.

use minion::verify::Algorithm;
use minion::wire::msgpack::Value;
use minion::wire::private_key::Encryption;
use scripted_master::reply::{hand_over, in_clear, pack, signed};
use scripted_master::{Exchange, Load, set};

use super::keys::keys;
use super::scene::{Contact, Fault, turns_away, turns_away_with_sha224};
use super::sign_in::{FORGED, INDISTINCT, UNPROVEN};

/// A stock minion, and one of SHA-224, for which the other algorithm is a real downgrade.
pub(super) async fn sig_algo_changed(contact: Contact) {
    turns_away(contact, other_signing(Algorithm::Sha224)).await;
    turns_away_with_sha224(contact, other_signing(Algorithm::Sha1)).await;
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
