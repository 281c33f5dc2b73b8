//! Several things wrong at once: no two faults cancel each other out.
//!
//! The matrix has one fault at a time, and a check that another fault switches off would pass it.
//! Here any few of them meet in one answer, in any order and at any contact.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use minion::wire::auth::{Handshake, Identity, Refusal, Token, Trust};
use minion::wire::envelope::Algorithms;
use minion::wire::msgpack::Value;
use minion::wire::nonce::Nonce;
use minion::wire::private_key::{Encryption, PrivateKey};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use scripted_master::keys::encrypt;
use scripted_master::reply::{Accepted, hand_over, pack, signed};
use scripted_master::{Load, SharedKey, remove, set};

use super::keys::{Keys, keys};
use super::scene::Contact;

/// Something to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    AesOfOther,
    AesGarbled,
    AlgorithmNamed,
    EncLabel,
    KeyOfOther,
    KeyVouchedByStranger,
    NonceOld,
    NonceMissing,
    OuterByOther,
    OuterBySha224,
    OuterMissing,
    PubSigMissing,
    Revoked,
    SealOfKeyForged,
    SessionGarbled,
    SessionMissing,
    TokenForged,
    VersionOld,
}

const ALL: [Wrong; 18] = [
    Wrong::AesOfOther,
    Wrong::AesGarbled,
    Wrong::AlgorithmNamed,
    Wrong::EncLabel,
    Wrong::KeyOfOther,
    Wrong::KeyVouchedByStranger,
    Wrong::NonceOld,
    Wrong::NonceMissing,
    Wrong::OuterByOther,
    Wrong::OuterBySha224,
    Wrong::OuterMissing,
    Wrong::PubSigMissing,
    Wrong::Revoked,
    Wrong::SealOfKeyForged,
    Wrong::SessionGarbled,
    Wrong::SessionMissing,
    Wrong::TokenForged,
    Wrong::VersionOld,
];

impl Wrong {
    const fn is_an_absence(self) -> bool {
        matches!(
            self,
            Self::NonceMissing | Self::PubSigMissing | Self::SessionMissing
        )
    }

    /// Whether it shows only when the private key has been used.
    const fn is_behind_the_private_key(self) -> bool {
        matches!(
            self,
            Self::AesOfOther
                | Self::AesGarbled
                | Self::SealOfKeyForged
                | Self::SessionGarbled
                | Self::TokenForged
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_two_faults_cancel_each_other_out(
        wrong in subsequence(&ALL[..], 0..=4).prop_shuffle(),
        contact in select(&[Contact::First, Contact::Known, Contact::Changed][..]),
    ) {
        let (answer, decryptions) = attempt(&wrong, contact);
        if wrong.is_empty() {
            prop_assert_eq!(answer, Ok(()));
            prop_assert_eq!(decryptions, contact.decryptions());
            return Ok(());
        }
        // A first contact has not sent a token, and does not look at one.
        if contact == Contact::First && wrong == [Wrong::TokenForged] {
            prop_assert_eq!(answer, Ok(()));
            return Ok(());
        }
        let refusal = answer.unwrap_err();
        let behind = wrong.iter().all(|one| one.is_behind_the_private_key());
        prop_assert_eq!(refusal == Refusal::KeyExchange, behind, "{:?}: {:?}", wrong, refusal);
        prop_assert_eq!(decryptions > 0, behind, "{:?}", wrong);
    }
}

/// What the minion makes of an answer, and how often it used its private key.
fn attempt(wrong: &[Wrong], contact: Contact) -> (Result<(), Refusal>, u64) {
    let Keys {
        signer,
        hostile,
        former,
        ..
    } = keys();
    let key = PrivateKey::from_pem(&keys().minion.to_pem()).unwrap();
    let token = Token::new(&[7; 56]);
    let identity = Identity {
        id: &"minion".parse().unwrap(),
        key: &key,
        token: &token,
        algorithms: Algorithms {
            signing: Algorithm::Sha1,
            encryption: Encryption::Sha1,
        },
        autosign_grains: None,
    };
    let mut revoked = BTreeSet::new();
    if wrong.contains(&Wrong::Revoked) {
        revoked.insert(hostile.public().hash());
    }
    let trust = Trust {
        signing_keys: std::slice::from_ref(signer.public()),
        revoked: &revoked,
        finger: None,
        known: match contact {
            Contact::First => None,
            Contact::Known => Some(hostile.public()),
            Contact::Changed => Some(former.public()),
        },
    };
    let nonce = Nonce::new([9; 16]);
    let echo = nonce.as_str().to_owned();
    let (handshake, _) = Handshake::begin(identity, trust, nonce).unwrap();
    let reply = answer(wrong, contact, &echo, key.public());
    (handshake.finish(&reply).map(|_| ()), key.decryptions())
}

/// The honest answer, with these faults made to it in this order.
fn answer(wrong: &[Wrong], contact: Contact, nonce: &str, minion: &PublicKey) -> Vec<u8> {
    let Keys {
        signer, hostile, ..
    } = keys();
    let (aes, session) = (SharedKey::random(), SharedKey::random());
    let seal = |plain: &[u8]| encrypt(minion, Encryption::Sha1, plain);
    let token = STANDARD.encode([7; 56]);
    let accepted = Accepted {
        pub_key: hostile.public().canonical().to_owned(),
        publish_port: 4505,
        pub_sig: signer.pub_sig(Algorithm::Sha1, hostile.public()),
        token: (contact == Contact::Known).then(|| seal(token.as_bytes())),
        aes: hand_over(&aes, minion, Encryption::Sha1),
        session: hand_over(&session, minion, Encryption::Sha1),
        sig: hostile.sign_key_text(aes.text().as_bytes()),
        nonce: nonce.to_owned(),
    };
    let mut load = accepted.into_load();
    // What is missing stays missing.
    let (missing, changed): (Vec<Wrong>, Vec<Wrong>) =
        wrong.iter().partition(|one| one.is_an_absence());
    for one in changed.into_iter().chain(missing) {
        spoil(one, &mut load, &seal);
    }
    let load = pack(load);
    let signer = if wrong.contains(&Wrong::OuterByOther) {
        &keys().good
    } else {
        hostile
    };
    let algorithm = if wrong.contains(&Wrong::OuterBySha224) {
        Algorithm::Sha224
    } else {
        Algorithm::Sha1
    };
    let mut outer = signed(&load, signer, algorithm);
    if wrong.contains(&Wrong::OuterMissing) {
        remove(&mut outer, "sig");
    }
    pack(outer)
}

fn spoil(wrong: Wrong, load: &mut Load, seal: &impl Fn(&[u8]) -> Vec<u8>) {
    let good = keys().good.public();
    match wrong {
        Wrong::AesOfOther => {
            let text = SharedKey::random().text().as_bytes().to_vec();
            set(load, "aes", seal(&text));
        }
        Wrong::AesGarbled => set(load, "aes", vec![0; 256]),
        Wrong::AlgorithmNamed => set(load, "sig_algo", "PKCS1v15-SHA224"),
        Wrong::EncLabel => set(load, "enc", "aes"),
        Wrong::KeyOfOther => set(load, "pub_key", good.canonical()),
        Wrong::KeyVouchedByStranger => {
            let hostile = keys().hostile.public();
            let forged = keys().stranger.pub_sig(Algorithm::Sha1, hostile);
            set(load, "pub_sig", forged.as_str());
        }
        Wrong::NonceOld => set(load, "nonce", "0".repeat(32).as_str()),
        Wrong::NonceMissing => remove(load, "nonce"),
        Wrong::PubSigMissing => remove(load, "pub_sig"),
        Wrong::SealOfKeyForged => set(load, "sig", vec![1; 256]),
        Wrong::SessionGarbled => set(load, "session", vec![0xff; 256]),
        Wrong::SessionMissing => remove(load, "session"),
        Wrong::TokenForged => set(load, "token", seal(b"another")),
        Wrong::VersionOld => set(load, "version", Value::from(2_u64)),
        // These are made to the envelope, or to the minion's memory.
        Wrong::OuterByOther | Wrong::OuterBySha224 | Wrong::OuterMissing | Wrong::Revoked => {}
    }
}
