//! Answers that a real master would never send, each with one thing wrong and everything else
//! right.
//!
//! The forger here has the master's own key, so what is refused is refused for its one fault and
//! not for the signature over it; where the fault is the signature, another key makes it.

use minion::verify::{Algorithm, Fingerprint, KeyError, PublicKey};
use minion::wire::auth::{Proof, Refusal};
use minion::wire::envelope::{EnvelopeError, Hint};
use minion::wire::msgpack::{FieldError, Value, encode};
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use proptest::collection::vec;
use proptest::prelude::*;

use super::capture::{Capture, Party};

/// How well the minion knows the master that answers.
const STATES: [Known; 3] = [Known::Changed, Known::No, Known::Yes];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Changed,
    No,
    Yes,
}

#[test]
fn the_untouched_answer_is_accepted_in_every_state() {
    let scene = Scene::new();
    scene.in_every_state(&scene.signed(|_| ()), |answer, state| {
        assert!(answer.is_ok(), "{state:?}: {answer:?}");
    });
}

#[test]
fn a_field_that_is_missing_or_wrong_is_refused_by_name() {
    let missing = |name| EnvelopeError::Shape(FieldError::Missing(name));
    let wrong = |name| EnvelopeError::Shape(FieldError::Wrong(name));
    let scene = Scene::new();
    for name in ["session", "aes", "sig", "nonce", "publish_port", "enc"] {
        scene.refuses(|load| remove(load, name), &missing(name).into());
        scene.refuses(|load| set(load, name, Value::Nil), &wrong(name).into());
    }
    for port in [0_u64, 65_536, u64::MAX] {
        scene.refuses(
            |load| set(load, "publish_port", port.into()),
            &wrong("publish_port").into(),
        );
    }
    scene.refuses(|load| set(load, "enc", "aes".into()), &wrong("enc").into());
    scene.refuses(|load| remove(load, "pub_key"), &missing("ret").into());
    let twice = EnvelopeError::Shape(FieldError::Twice);
    scene.refuses(
        |load| load.push(("nonce".into(), "x".into())),
        &twice.into(),
    );
}

#[test]
fn a_version_or_an_algorithm_in_the_answer_changes_nothing_but_is_refused() {
    let scene = Scene::new();
    for version in [0_u64, 1, 2, 4] {
        let old = EnvelopeError::Version;
        scene.refuses(
            |load| load.push(("version".into(), version.into())),
            &old.into(),
        );
    }
    for field in ["sig_algo", "enc_algo"] {
        let other = EnvelopeError::Algorithm { field };
        for named in ["PKCS1v15-SHA224", "OAEP-SHA224", "PKCS1v15-SHA512", ""] {
            scene.refuses(
                |load| load.push((field.into(), named.into())),
                &other.into(),
            );
            let reply = scene.outer(&scene.load(|_| ()), |outer| {
                outer.push((field.into(), named.into()));
            });
            scene.refused(&reply, &other.into());
        }
    }
    let stated = |load: &mut Load| {
        load.push(("sig_algo".into(), "PKCS1v15-SHA1".into()));
        load.push(("version".into(), 3_u64.into()));
    };
    scene.in_every_state(&scene.signed(stated), |answer, _| assert!(answer.is_ok()));
}

#[test]
fn the_signature_of_the_master_key_is_required_every_time() {
    let scene = Scene::new();
    scene.refuses(|load| remove(load, "pub_sig"), &Refusal::SignatureMissing);
    for damaged in ["", "=", "%%%", "AAA"] {
        scene.refuses(
            |load| set(load, "pub_sig", damaged.into()),
            &Refusal::SignatureDamaged,
        );
    }
    let master = scene.capture.master();
    for signature in [
        scene.pub_sig(&scene.other, Algorithm::Sha1, &master),
        scene.pub_sig(&scene.master, Algorithm::Sha1, &master),
        scene.pub_sig(&scene.signer, Algorithm::Sha224, &master),
        scene.pub_sig(&scene.signer, Algorithm::Sha1, scene.party.key.public()),
    ] {
        scene.refuses(
            |load| set(load, "pub_sig", signature),
            &Refusal::SignatureRejected,
        );
    }
    let good = scene.pub_sig(&scene.signer, Algorithm::Sha1, &master);
    scene.in_every_state(
        &scene.signed(|load| set(load, "pub_sig", good)),
        |answer, _| {
            assert!(answer.is_ok());
        },
    );
}

#[test]
fn a_bit_of_the_signature_of_the_master_key_counts() {
    let scene = Scene::new();
    let signature = scene.pub_sig_bytes(&scene.signer, Algorithm::Sha1, &scene.capture.master());
    for bit in (0..2048).step_by(8) {
        let mut signature = signature.clone();
        signature[bit / 8] ^= 1 << (bit % 7);
        let text = openssl::base64::encode_block(&signature);
        let reply = scene.signed(|load| set(load, "pub_sig", text.as_str().into()));
        assert_eq!(
            scene.finish(Known::Yes, &reply),
            Err(Refusal::SignatureRejected)
        );
    }
}

#[test]
fn signing_keys_overlap_and_a_retired_one_counts_no_more() {
    let mut scene = Scene::new();
    let reply = scene.signed(|_| ());
    let signer = scene.capture.signer();
    let other = public(&scene.other);
    scene.party.signing_keys = vec![other.clone(), signer];
    scene.in_every_state(&reply, |answer, _| assert!(answer.is_ok()));
    for retired in [vec![other], Vec::new()] {
        scene.party.signing_keys = retired;
        scene.refused(&reply, &Refusal::SignatureRejected);
    }
}

#[test]
fn a_revoked_key_and_another_finger_are_refused_although_signed() {
    let mut scene = Scene::new();
    let reply = scene.signed(|_| ());
    let master = scene.capture.master();
    scene.party.finger = Some(Fingerprint::salt(&master));
    scene.in_every_state(&reply, |answer, _| assert!(answer.is_ok()));
    let configured = Fingerprint::file(&master);
    let found = Fingerprint::salt(&master);
    scene.party.finger = Some(configured);
    scene.refused(&reply, &Refusal::Finger { configured, found });
    scene.party.revoked.insert(master.hash());
    scene.refused(&reply, &Refusal::Revoked);
}

#[test]
fn another_spelling_or_kind_of_master_key_is_refused() {
    let scene = Scene::new();
    let text = scene.capture.master().canonical().to_owned();
    let not_canonical = |offset| Refusal::MasterKey(KeyError::NotCanonical { offset });
    let spelled = |text: String| move |load: &mut Load| set(load, "pub_key", text.as_str().into());
    scene.refuses(spelled(format!("{text}\n")), &not_canonical(450));
    scene.refuses(spelled(text.replace('\n', "\r\n")), &not_canonical(26));
    scene.refuses(
        spelled(format!("{text}\n{text}")),
        &KeyError::NotAlone.into(),
    );
    scene.refuses(
        spelled(format!("\u{feff}{text}")),
        &KeyError::NotAlone.into(),
    );
    let private = scene.capture.text("minion_pem").to_owned();
    scene.refuses(spelled(private), &KeyError::PrivateKey.into());
}

#[test]
fn a_short_key_is_refused_even_when_it_is_signed() {
    let mut scene = Scene::new();
    let short = Rsa::generate(1024).unwrap();
    let key = public(&short);
    let signature = scene.pub_sig(&scene.signer, Algorithm::Sha1, &key);
    scene.master = short;
    scene.refuses(
        |load| {
            set(load, "pub_key", key.canonical().into());
            set(load, "pub_sig", signature);
        },
        &Refusal::Weak { bits: 1024 },
    );
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let scene = Scene::new();
    let nonce = &scene.party.nonce;
    let other = "0".repeat(32);
    let upper = nonce.to_uppercase();
    for echoed in [
        other.as_str(),
        &nonce[..31],
        "",
        &format!("{nonce}0"),
        upper.as_str(),
    ] {
        scene.refuses(|load| set(load, "nonce", echoed.into()), &Refusal::Nonce);
    }
}

#[test]
fn the_answer_is_signed_by_the_key_in_it() {
    let scene = Scene::new();
    let load = scene.load(|_| ());
    let resigned = |key, algorithm| {
        scene.outer(&load, |outer| {
            set(outer, "sig", sign(key, algorithm, &load).into());
        })
    };
    for reply in [
        resigned(&scene.other, Algorithm::Sha1),
        resigned(&scene.signer, Algorithm::Sha1),
        resigned(&scene.master, Algorithm::Sha224),
        scene.outer(&load, |outer| set(outer, "sig", "".into())),
    ] {
        scene.refused(&reply, &Refusal::PayloadSignature);
    }
    let unsigned = scene.outer(&load, |outer| remove(outer, "sig"));
    scene.refused(&unsigned, &EnvelopeError::Unsigned.into());
}

#[test]
fn what_fails_after_the_private_key_was_used_has_one_name() {
    let scene = Scene::new();
    let seal = |text: &[u8]| scene.seal(text);
    let aes = scene.capture.text("aes").to_owned();
    let token = scene.capture.text("minion_token").to_owned();
    for (field, value) in [
        ("aes", seal(scene.capture.text("session").as_bytes())),
        ("aes", seal(b"short")),
        ("aes", seal(format!("{aes}_|-{token}").as_bytes())),
        ("aes", vec![0; 256]),
        ("aes", Vec::new()),
        ("session", seal(b"short")),
        ("session", vec![0xff; 256]),
        ("session", vec![1; 255]),
        ("sig", vec![0; 256]),
        ("sig", vec![0; 257]),
        ("sig", Vec::new()),
    ] {
        scene.refuses(|load| set(load, field, value.into()), &Refusal::KeyExchange);
    }
}

#[test]
fn a_master_that_knew_the_token_gives_it_back() {
    let scene = Scene::new();
    let wrong = scene.signed(|load| set(load, "token", scene.seal(b"another").into()));
    let missing = scene.signed(|load| remove(load, "token"));
    for state in STATES {
        let expected = if state == Known::No {
            None
        } else {
            Some(Refusal::KeyExchange)
        };
        assert_eq!(scene.finish(state, &wrong).err(), expected, "{state:?}");
        // A master with a new key cannot read what was encrypted to the old one.
        let expected = if state == Known::Yes {
            Some(Refusal::KeyExchange)
        } else {
            None
        };
        assert_eq!(scene.finish(state, &missing).err(), expected, "{state:?}");
    }
}

#[test]
fn pending_rejected_and_full_count_only_when_the_known_master_signed_them() {
    let scene = Scene::new();
    for (word, refusal) in [
        (Value::from(true), Refusal::Pending as fn(Proof) -> Refusal),
        (false.into(), Refusal::Rejected),
        ("full".into(), Refusal::Full),
    ] {
        let answer = |nonce: &str| {
            encode(&Value::map([
                ("ret", word.clone()),
                ("nonce", nonce.into()),
            ]))
            .unwrap()
        };
        let reply = scene.outer(&answer(&scene.party.nonce), |_| ());
        assert_eq!(
            scene.finish(Known::Yes, &reply),
            Err(refusal(Proof::Signed))
        );
        assert_eq!(
            scene.finish(Known::No, &reply),
            Err(refusal(Proof::Unverified))
        );
        assert_eq!(
            scene.finish(Known::Changed, &reply),
            Err(Refusal::PayloadSignature)
        );
        let replayed = scene.outer(&answer(&"0".repeat(32)), |_| ());
        assert_eq!(scene.finish(Known::Yes, &replayed), Err(Refusal::Nonce));
        assert_eq!(scene.finish(Known::No, &replayed), Err(Refusal::Nonce));
        let load = answer(&scene.party.nonce);
        let unsigned = scene.outer(&load, |outer| remove(outer, "sig"));
        scene.refused(&unsigned, &EnvelopeError::Unsigned.into());
        let map = Value::map([("ret", word.clone())]);
        let in_clear = scene.outer(&load, |outer| set(outer, "load", map));
        for state in STATES {
            let answer = scene.finish(state, &in_clear);
            assert!(
                matches!(answer, Err(Refusal::Hint(_))),
                "{state:?}: {answer:?}"
            );
        }
    }
}

#[test]
fn what_nobody_signed_is_a_hint_and_shown_in_one_short_line() {
    let scene = Scene::new();
    let long = format!("\u{1b}[2J\n{}", "x".repeat(500));
    let reply = encode(&long.as_str().into()).unwrap();
    let Err(Refusal::Hint(hint)) = scene.finish(Known::Yes, &reply) else {
        panic!("a hint");
    };
    let shown = hint.to_string();
    assert!(
        shown.len() < 160 && !shown.contains(['\u{1b}', '\n']),
        "{shown}"
    );
    let routing = encode(&Value::map([("error", "Routing error".into())])).unwrap();
    scene.refused(&routing, &Refusal::Hint(Hint::Unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn arbitrary_answers_are_refused(noise in vec(any::<u8>(), 0..300), port in any::<u64>()) {
        let scene = Scene::new();
        prop_assert!(scene.finish(Known::Yes, &noise).is_err());
        let load = scene.outer(&noise, |_| ());
        prop_assert!(scene.finish(Known::Yes, &load).is_err());
        let key = scene.signed(|load| set(load, "pub_key", noise.as_slice().into()));
        prop_assert!(scene.finish(Known::Yes, &key).is_err());
        let signature = scene.signed(|load| set(load, "pub_sig", noise.as_slice().into()));
        prop_assert!(scene.finish(Known::Yes, &signature).is_err());
        let keys = scene.signed(|load| set(load, "session", noise.as_slice().into()));
        prop_assert_eq!(scene.finish(Known::Yes, &keys), Err(Refusal::KeyExchange));
        let ported = scene.signed(|load| set(load, "publish_port", port.into()));
        let legal = (1..=65_535).contains(&port);
        prop_assert_eq!(scene.finish(Known::Yes, &ported).is_ok(), legal);
    }
}

type Load = Vec<(Value, Value)>;

/// A minion that waits for an answer, and the keys of everybody around it.
struct Scene {
    capture: Capture,
    party: Party,
    master: Rsa<Private>,
    signer: Rsa<Private>,
    other: Rsa<Private>,
}

impl Scene {
    fn new() -> Self {
        let capture = Capture::open("3008.5", "auth_accepted_token");
        let foreign = Capture::open("3006.30", "auth_accepted_token");
        Self {
            party: Party::new(&capture),
            master: private(&capture, "master_pem"),
            signer: private(&capture, "master_sign_pem"),
            other: private(&foreign, "master_pem"),
            capture,
        }
    }

    /// The recorded load with `edit` made to it.
    fn load(&self, edit: impl FnOnce(&mut Load)) -> Vec<u8> {
        let mut load = self.capture.reply_load();
        edit(&mut load);
        encode(&Value::Map(load)).unwrap()
    }

    /// `load` signed by the master, with `edit` made to the envelope.
    fn outer(&self, load: &[u8], edit: impl FnOnce(&mut Load)) -> Vec<u8> {
        let mut outer = vec![
            ("enc".into(), "clear".into()),
            ("load".into(), load.into()),
            (
                "sig".into(),
                sign(&self.master, Algorithm::Sha1, load).into(),
            ),
        ];
        edit(&mut outer);
        encode(&Value::Map(outer)).unwrap()
    }

    fn signed(&self, edit: impl FnOnce(&mut Load)) -> Vec<u8> {
        self.outer(&self.load(edit), |_| ())
    }

    fn finish(&self, known: Known, reply: &[u8]) -> Result<(), Refusal> {
        let known = match known {
            Known::Changed => Some(public(&self.other)),
            Known::No => None,
            Known::Yes => Some(self.capture.master()),
        };
        self.party.begin(known.as_ref()).0.finish(reply).map(|_| ())
    }

    fn in_every_state(&self, reply: &[u8], check: impl Fn(Result<(), Refusal>, Known)) {
        for state in STATES {
            check(self.finish(state, reply), state);
        }
    }

    fn refused(&self, reply: &[u8], refusal: &Refusal) {
        self.in_every_state(reply, |answer, state| {
            assert_eq!(answer.as_ref(), Err(refusal), "{state:?}");
        });
    }

    fn refuses(&self, edit: impl FnOnce(&mut Load), refusal: &Refusal) {
        self.refused(&self.signed(edit), refusal);
    }

    fn pub_sig_bytes(&self, key: &Rsa<Private>, algorithm: Algorithm, of: &PublicKey) -> Vec<u8> {
        sign(key, algorithm, of.canonical().as_bytes())
    }

    fn pub_sig(&self, key: &Rsa<Private>, algorithm: Algorithm, of: &PublicKey) -> Value {
        let signature = self.pub_sig_bytes(key, algorithm, of);
        openssl::base64::encode_block(&signature).as_str().into()
    }

    /// Encrypts for the minion, as only somebody with its public key can.
    fn seal(&self, text: &[u8]) -> Vec<u8> {
        let key = private(&self.capture, "minion_pem");
        let mut sealed = vec![0; 256];
        key.public_encrypt(text, &mut sealed, Padding::PKCS1_OAEP)
            .unwrap();
        sealed
    }
}

fn sign(key: &Rsa<Private>, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.size() as usize];
    key.private_encrypt(
        &algorithm.digest_info(message),
        &mut signature,
        Padding::PKCS1,
    )
    .unwrap();
    signature
}

fn private(capture: &Capture, name: &str) -> Rsa<Private> {
    Rsa::private_key_from_pem(capture.text(name).as_bytes()).unwrap()
}

fn public(key: &Rsa<Private>) -> PublicKey {
    PublicKey::from_components(&key.n().to_vec(), &key.e().to_vec()).unwrap()
}

fn set(entries: &mut Load, name: &str, value: Value) {
    entries
        .iter_mut()
        .find(|(key, _)| *key == name.into())
        .unwrap()
        .1 = value;
}

fn remove(entries: &mut Load, name: &str) {
    entries.retain(|(key, _)| *key != name.into());
}
