//! Wrong answers to `_auth`.

use std::fs;
use std::sync::{Arc, Mutex};

use minion::agent::{SigningKey, Store};
use minion::pki;
use minion::verify::Algorithm;
use minion::wire::msgpack::{Value, encode};
use openssl::base64::{decode_block, encode_block};
use scripted_master::reply::{in_clear, pack, signed, turned_away};
use scripted_master::{Exchange, Keypair, Load, remove, set};

use super::keys::{Keys, keys};
use super::minion::Minion;
use super::scene::{Contact, Fault, Scene, hostile_name, turns_away, turns_away_by};

pub(super) async fn reply_unsigned(contact: Contact) {
    let unsigned = "the message is not signed";
    turns_away(
        contact,
        vec![
            Fault::outer(unsigned, |outer, _| remove(outer, "sig")),
            Fault::outer(WRONG_SHAPE, |outer, _| set(outer, "sig", Value::Nil)),
            Fault::outer("payload signature did not validate", |outer, _| {
                set(outer, "sig", "");
            }),
        ],
    )
    .await;
}

pub(super) async fn pub_sig_missing(contact: Contact) {
    let missing = "The master did not send its public-key signature, but signature verification \
                   is enabled on the minion";
    turns_away(
        contact,
        vec![
            Fault::load(missing, |load, _| remove(load, "pub_sig")),
            Fault::load("it is not base64", |load, _| set(load, "pub_sig", "")),
            Fault::load(WRONG_SHAPE, |load, _| set(load, "pub_sig", Value::Nil)),
        ],
    )
    .await;
}

pub(super) async fn pub_sig_of_other_key(contact: Contact) {
    let of = |key: &Arc<Keypair>, algorithm, of: &Arc<Keypair>| {
        let signature = key.pub_sig(algorithm, of.public());
        Fault::load(FORGED, move |load, _| {
            set(load, "pub_sig", signature.as_str());
        })
    };
    let Keys {
        signer,
        stranger,
        hostile,
        good,
        minion,
        ..
    } = keys();
    turns_away(
        contact,
        vec![
            of(stranger, Algorithm::Sha1, hostile),
            of(hostile, Algorithm::Sha1, hostile),
            of(minion, Algorithm::Sha1, hostile),
            of(signer, Algorithm::Sha1, good),
            of(signer, Algorithm::Sha224, hostile),
        ],
    )
    .await;
}

/// One bit in each byte, and each bit of the eight in turn.
pub(super) async fn pub_sig_bit_flipped(contact: Contact) {
    let good = keys()
        .signer
        .pub_sig(Algorithm::Sha1, keys().hostile.public());
    let good = decode_block(&good).unwrap();
    let faults = (0..256).map(|byte| {
        let mut flipped = good.clone();
        flipped[byte] ^= 1 << (byte % 8);
        let text = encode_block(&flipped);
        Fault::load(FORGED, move |load, _| set(load, "pub_sig", text.as_str()))
    });
    turns_away(contact, faults.collect()).await;
}

/// The signing key is among the minion's own, with a date; it is the date that turns the master
/// away, for with a later one the same answer is believed.
pub(super) async fn pub_sig_by_retired_signer(contact: Contact) {
    let by_retired = || {
        let retired = keys()
            .retired
            .pub_sig(Algorithm::Sha1, keys().hostile.public());
        Fault::load(FORGED, move |load, _| {
            set(load, "pub_sig", retired.as_str());
        })
    };
    let scene = Scene::new().await;
    let ended = signing_keys("2020-01-01T00:00:00Z");
    let memory = contact.memory(&scene).trusting(ended);
    turns_away_by(scene, memory, vec![by_retired()]).await;

    let scene = Scene::new().await;
    let lasting = signing_keys("2999-01-01T00:00:00Z");
    let memory = contact.memory(&scene).trusting(lasting).into();
    scene.script(&vec![by_retired()].into());
    let mut minion = Minion::start(&memory, scene.masters(1), |_| ());
    assert_eq!(minion.connected().await, hostile_name(0));
    assert_eq!(scene.hostile.read(|log| log.faults), 1);
    minion.end().await;
}

/// What a minion believes whose operator has given the retired key an end.
fn signing_keys(end: &str) -> Vec<SigningKey> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(
        path.join("master_sign.pub"),
        keys().signer.public().to_file(),
    )
    .unwrap();
    fs::create_dir(path.join("master_sign.d")).unwrap();
    let retired = keys().retired.public().to_file();
    let file = path.join("master_sign.d/retired.pub");
    fs::write(file, format!("# not-after: {end}\n{retired}")).unwrap();
    let store = pki::Store::open(path, "master_sign").unwrap();
    Store::signing_keys(&store).unwrap()
}

pub(super) async fn master_revoked(contact: Contact) {
    let scene = Scene::new().await;
    let memory = contact.memory(&scene).without(keys().hostile.public());
    let fault = Fault::load("public key is revoked", |_, _| ());
    turns_away_by(scene, memory, vec![fault]).await;
}

/// The honest answer to the sign-in before, and to one before that.
pub(super) async fn reply_replayed(contact: Contact) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let taped = Arc::clone(&heard);
    let tape = Fault::reply("the answer is not one of Salt's", move |exchange| {
        taped.lock().unwrap().push(exchange.honest());
        pack(vec![])
    });
    let taped = Arc::clone(&heard);
    let replay = Fault::reply(NONCE, move |exchange| {
        let mut taped = taped.lock().unwrap();
        taped.push(exchange.honest());
        taped[0].clone()
    });
    let again = Fault::reply(NONCE, move |_| heard.lock().unwrap()[1].clone());
    turns_away(contact, vec![tape, replay, again]).await;
}

pub(super) async fn nonce_wrong(contact: Contact) {
    let echo = |change: fn(&str) -> String| {
        Fault::load(NONCE, move |load, exchange| {
            let nonce = &exchange.auth().unwrap().nonce;
            set(load, "nonce", change(nonce).as_str());
        })
    };
    turns_away(
        contact,
        vec![
            Fault::load(r#"the field "nonce" is missing"#, |load, _| {
                remove(load, "nonce");
            }),
            Fault::load(WRONG_SHAPE, |load, _| set(load, "nonce", 7_u64)),
            Fault::load(WRONG_SHAPE, |load, exchange| {
                let nonce = exchange.auth().unwrap().nonce.as_str().into();
                set(load, "nonce", Value::Array(vec![nonce]));
            }),
            echo(|nonce| nonce[..31].to_owned()),
            echo(|nonce| nonce[..1].to_owned()),
            echo(|_| String::new()),
            echo(|nonce| format!("{nonce}0")),
            echo(str::to_uppercase),
            echo(|_| "0".repeat(32)),
        ],
    )
    .await;
}

pub(super) async fn outer_sig_wrong(contact: Contact) {
    let by = |key: &Arc<Keypair>, algorithm| {
        let key = Arc::clone(key);
        Fault::reply(UNPROVEN, move |exchange| {
            pack(signed(&pack(exchange.load()), &key, algorithm))
        })
    };
    let Keys {
        signer,
        stranger,
        hostile,
        former,
        good,
        ..
    } = keys();
    turns_away(
        contact,
        vec![
            by(stranger, Algorithm::Sha1),
            by(signer, Algorithm::Sha1),
            by(former, Algorithm::Sha1),
            by(good, Algorithm::Sha1),
            by(hostile, Algorithm::Sha224),
            Fault::outer(UNPROVEN, |outer, exchange| {
                let load = pack(exchange.load());
                let mut signature = exchange.key().sign(Algorithm::Sha1, &load);
                signature.pop();
                set(outer, "load", load);
                set(outer, "sig", signature);
            }),
            Fault::outer("the message is not signed", |outer, _| remove(outer, "sig")),
        ],
    )
    .await;
}

pub(super) async fn version_lower(contact: Contact) {
    let says = "the message is not of version 3";
    let mut faults = Vec::new();
    for version in [0_u64, 1, 2] {
        faults.push(Fault::outer(says, move |outer, _| {
            set(outer, "version", version);
        }));
        faults.push(Fault::load(says, move |load, _| {
            set(load, "version", version);
        }));
    }
    // What a master of version 2 sends has no session key.
    let missing = r#"the field "session" is missing"#;
    faults.push(Fault::load(missing, |load, _| remove(load, "session")));
    turns_away(contact, faults).await;
}

pub(super) async fn session_missing(contact: Contact) {
    let missing = r#"the field "session" is missing"#;
    let whole = contact.decryptions();
    turns_away(
        contact,
        vec![
            Fault::load(missing, |load, _| remove(load, "session")),
            Fault::load(WRONG_SHAPE, |load, _| set(load, "session", Value::Nil)),
            Fault::load(INDISTINCT, |load, _| set(load, "session", "")).after(whole),
            Fault::load(INDISTINCT, |load, exchange| {
                set(load, "session", exchange.encrypt(b"no key"));
            })
            .after(whole),
        ],
    )
    .await;
}

/// A first contact has no token to give back; a master with a new key cannot read it.
pub(super) async fn token_wrong(contact: Contact) {
    let joined = |load: &mut Load, exchange: &Exchange<'_>| {
        let (aes, _) = exchange.shared_keys(&exchange.auth().unwrap().id);
        let token = "x".repeat(76);
        let text = format!("{}_|-{token}", aes.text());
        set(load, "aes", exchange.encrypt(text.as_bytes()));
        set(load, "sig", exchange.key().sign_key_text(text.as_bytes()));
        remove(load, "token");
    };
    let mut faults = vec![Fault::load(INDISTINCT, joined).after(2)];
    let wrong = |token: &'static [u8]| {
        Fault::load(INDISTINCT, move |load, exchange| {
            set(load, "token", exchange.encrypt(token));
        })
        .after(3)
    };
    if contact != Contact::First {
        faults.extend([wrong(b""), wrong(&[b'A'; 76]), wrong(b"short")]);
        faults.push(Fault::load(INDISTINCT, |load, _| set(load, "token", "")).after(3));
    }
    if contact == Contact::Known {
        faults.push(Fault::load(INDISTINCT, |load, _| remove(load, "token")).after(2));
    }
    turns_away(contact, faults).await;
}

pub(super) async fn aes_wrong(contact: Contact) {
    let sealed = |text: &'static [u8]| {
        Fault::load(INDISTINCT, move |load, exchange| {
            set(load, "aes", exchange.encrypt(text));
            // The master vouches for it, so that its length alone is wrong.
            set(load, "sig", exchange.key().sign_key_text(text));
        })
    };
    let raw =
        |bytes: Vec<u8>| Fault::load(INDISTINCT, move |load, _| set(load, "aes", bytes.clone()));
    let faults = vec![
        sealed(b""),
        sealed(b"AAAA"),
        sealed(&[b'A'; 72]),
        sealed(&[b'A'; 76]),
        sealed(&[b'A'; 80]),
        sealed(&[b'*'; 76]),
        raw(Vec::new()),
        raw(vec![0; 255]),
        raw(vec![0; 256]),
        raw(vec![0xff; 256]),
        raw(vec![1; 257]),
        // Another key than the one that the master vouches for.
        Fault::load(INDISTINCT, |load, exchange| {
            let (_, session) = exchange.shared_keys(&exchange.auth().unwrap().id);
            set(load, "aes", exchange.encrypt(session.text().as_bytes()));
        }),
    ];
    let whole = contact.decryptions();
    let faults = faults.into_iter().map(|fault| fault.after(whole));
    turns_away(contact, faults.collect()).await;
}

/// What turns a minion away counts only if it is signed and says which sign-in it answers.
pub(super) async fn full_unsigned(contact: Contact) {
    let mut faults = Vec::new();
    for ret in [Value::from("full"), true.into(), false.into()] {
        let (unsigned, plain) = (ret.clone(), ret.clone());
        faults.push(Fault::reply("the message is not signed", move |exchange| {
            let nonce = &exchange.auth().unwrap().nonce;
            let mut outer = exchange.sign(turned_away(unsigned.clone(), nonce));
            remove(&mut outer, "sig");
            pack(outer)
        }));
        faults.push(Fault::reply("Sign-in attempt failed", move |_| {
            pack(in_clear(plain.clone()))
        }));
        let other = ret.clone();
        // On first contact there is no key yet that could have signed it.
        let says = if contact == Contact::First {
            NONCE
        } else {
            UNPROVEN
        };
        faults.push(Fault::reply(says, move |_| {
            let load = pack(turned_away(other.clone(), &"0".repeat(32)));
            pack(signed(&load, &keys().stranger, Algorithm::Sha1))
        }));
        let says = if contact == Contact::Changed {
            UNPROVEN
        } else {
            NONCE
        };
        faults.push(Fault::reply(says, move |exchange| {
            pack(exchange.sign(turned_away(ret.clone(), &"0".repeat(32))))
        }));
    }
    turns_away(contact, faults).await;
}

pub(super) async fn map_instead_of_bytes(contact: Contact) {
    turns_away(
        contact,
        vec![
            Fault::outer(NO_HINT, |outer, exchange| {
                set(outer, "load", Value::Map(exchange.load()));
            }),
            Fault::outer(WRONG_SHAPE, |outer, _| set(outer, "load", 5_u64)),
            Fault::outer(WRONG_SHAPE, |outer, _| {
                set(outer, "load", Value::Array(Vec::new()));
            }),
            Fault::reply(WRONG_SHAPE, |exchange| {
                encode(&Value::Array(vec![exchange.honest().into()])).unwrap()
            }),
            Fault::reply(WRONG_SHAPE, |_| encode(&Value::Nil).unwrap()),
            Fault::reply("Sign-in attempt failed: bad load", |_| {
                encode(&"bad load".into()).unwrap()
            }),
            Fault::reply("Some exception handling minion payload", |_| {
                encode(&"Some exception handling minion payload".into()).unwrap()
            }),
        ],
    )
    .await;
}

pub(super) const FORGED: &str =
    "Received signed public-key from master but signature verification failed!";
pub(super) const INDISTINCT: &str = "The Salt Master server's public key did not authenticate!";
pub(super) const NONCE: &str = "Invalid nonce";
const NO_HINT: &str = "the answer is not one of Salt's";
pub(super) const UNPROVEN: &str = "The payload signature did not validate.";
const WRONG_SHAPE: &str = "wrong shape";
