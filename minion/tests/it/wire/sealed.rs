//! Sealed messages and publications with one thing wrong, made by somebody who has the keys.

use aes::Aes192;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use minion::verify::{Algorithm, PublicKey};
use minion::wire::crypticle::{BadKey, Crypticle, Iv, OpenError};
use minion::wire::msgpack::{DecodeError, FieldError, Value, encode};
use minion::wire::nonce::Nonce;
use minion::wire::publish::{
    BadJid, Function, Jid, Publication, PublicationError, Publications, Target,
};
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::Sha256;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does(
        bytes in vec(any::<u8>(), 0..200),
        iv in any::<[u8; 16]>(),
        noise in vec(any::<u8>(), 0..200),
    ) {
        let key = Crypticle::parse(KEY.as_bytes()).unwrap();
        let value = Value::from(bytes);
        let sealed = key.seal(&value, Iv::new(iv)).unwrap();
        prop_assert_eq!(key.open(&sealed), Ok(value));
        prop_assert_eq!(key.open(&noise), Err(OpenError::Sealed));
    }
}

#[test]
fn a_key_is_56_bytes_in_base64_and_nothing_else() {
    assert!(Crypticle::parse(KEY.as_bytes()).is_ok());
    for text in [
        "",
        "AAAA",
        &KEY[..72],
        &format!("{KEY}\n"),
        &format!("{KEY}AAAA"),
        &"*".repeat(76),
    ] {
        assert_eq!(
            Crypticle::parse(text.as_bytes()).err(),
            Some(BadKey),
            "{text:?}"
        );
    }
}

#[test]
fn a_key_does_not_show_itself() {
    let shown = format!("{:?}", Crypticle::parse(KEY.as_bytes()).unwrap());
    let raw = STANDARD.decode(KEY).unwrap();
    assert!(
        !shown.contains(KEY) && !shown.contains(&hex::encode(&raw[..8])),
        "{shown}"
    );
}

#[test]
fn the_padding_is_exact() {
    let key = Crypticle::parse(KEY.as_bytes()).unwrap();
    // "pickle::" and nil are nine bytes, so seven are missing to a block.
    let nil = b"pickle::\xc0";
    assert_eq!(
        key.open(&seal_raw(&[nil, &[7; 7][..]].concat())),
        Ok(Value::Nil)
    );
    let nil_and_block = [nil, &[23; 23][..]].concat();
    for padded in [
        [nil, &[0; 7][..]].concat(),
        [nil, &[0, 0, 0, 0, 0, 0, 7][..]].concat(),
        [nil, &[7, 7, 7, 6, 7, 7, 7][..]].concat(),
        [nil, &[17; 7][..]].concat(),
        [nil, &[255; 7][..]].concat(),
        nil_and_block,
        Vec::new(),
    ] {
        assert_eq!(
            key.open(&seal_raw(&padded)),
            Err(OpenError::Sealed),
            "{padded:?}"
        );
    }
}

#[test]
fn an_authentic_message_has_the_marker_and_decodes() {
    let key = Crypticle::parse(KEY.as_bytes()).unwrap();
    assert_eq!(
        key.open(&seal_raw(b"pickle:;\xc0\x07\x07\x07\x07\x07\x07\x07")),
        Err(OpenError::Prefix)
    );
    assert_eq!(key.open(&seal_raw(&[16; 16])), Err(OpenError::Prefix));
    let trailing = seal_raw(b"pickle::\xc0\xc0\x06\x06\x06\x06\x06\x06");
    assert_eq!(
        key.open(&trailing),
        Err(OpenError::Decode(DecodeError::Trailing))
    );
}

#[test]
fn a_reply_belongs_to_its_request() {
    let key = Crypticle::parse(KEY.as_bytes()).unwrap();
    let plain = [
        b"pickle::",
        "ab".repeat(16).as_bytes(),
        b"\xc0\x07\x07\x07\x07\x07\x07\x07",
    ]
    .concat();
    let reply = seal_raw(&plain);
    assert_eq!(
        key.open_reply(&reply, &Nonce::new([0xab; 16])),
        Ok(Value::Nil)
    );
    assert_eq!(
        key.open_reply(&reply, &Nonce::new([0xba; 16])),
        Err(OpenError::Nonce)
    );
    let short = seal_raw(b"pickle::\xc0\x07\x07\x07\x07\x07\x07\x07");
    assert_eq!(
        key.open_reply(&short, &Nonce::new([0xab; 16])),
        Err(OpenError::Nonce)
    );
}

#[test]
fn a_publication_needs_the_signature_of_this_master() {
    let mut scene = Scene::new();
    let good = scene.body(&job(1), |_| ());
    let unsigned = scene.body(&job(1), |outer| {
        outer.retain(|(key, _)| *key != "sig".into());
    });
    assert_eq!(scene.open(&unsigned), Err(PublicationError::Unsigned));
    let other = Rsa::generate(2048).unwrap();
    let by_other = scene.body(&job(1), |outer| {
        let Value::Raw(load) = outer[1].1.clone() else {
            panic!("bytes");
        };
        outer[3].1 = sign(&other, &load).into();
    });
    assert_eq!(scene.open(&by_other), Err(PublicationError::Signature));
    for named in ["PKCS1v15-SHA224", "PKCS1v15-SHA512", ""] {
        let body = scene.body(&job(1), |outer| outer[2].1 = named.into());
        assert_eq!(
            scene.open(&body),
            Err(PublicationError::Algorithm),
            "{named}"
        );
    }
    assert!(scene.open(&good).is_ok());
}

#[test]
fn a_signed_publication_under_another_aes_key_says_so() {
    let mut scene = Scene::new();
    let damaged = scene.body_of(&[1; 96]);
    assert_eq!(
        scene.open(&damaged),
        Err(PublicationError::Open(OpenError::Sealed))
    );
}

#[test]
fn serials_rise_and_a_refused_one_is_not_remembered() {
    let mut scene = Scene::new();
    let serial = |scene: &Scene, value: Value| scene.body(&with(job(0), "serial", value), |_| ());
    for number in [5_u64, 6, 9] {
        let body = serial(&scene, number.into());
        assert_eq!(scene.open(&body).unwrap().serial, number);
    }
    for number in [9_u64, 8, 0] {
        let body = serial(&scene, number.into());
        assert_eq!(
            scene.open(&body),
            Err(PublicationError::Serial { serial: number })
        );
    }
    for wrong in [
        Value::Nil,
        "10".into(),
        Value::from(-1_i64),
        Value::Float(10.0),
    ] {
        let body = serial(&scene, wrong);
        assert_eq!(scene.open(&body), Err(FieldError::Wrong("serial").into()));
    }
    let unreadable = scene.body(&with(job(u64::MAX), "jid", "soon".into()), |_| ());
    assert_eq!(
        scene.open(&unreadable),
        Err(FieldError::Wrong("jid").into())
    );
    assert_eq!(scene.publications.last_serial(), Some(9));
}

#[test]
fn a_serial_is_remembered_beyond_the_connection() {
    let scene = Scene::new();
    let aes = Crypticle::parse(KEY.as_bytes()).unwrap();
    let mut again = Publications::new(aes, scene.publications_master(), Algorithm::Sha1, Some(7));
    let replayed = scene.body(&job(7), |_| ());
    assert_eq!(
        again.open(&replayed),
        Err(PublicationError::Serial { serial: 7 })
    );
}

#[test]
fn targets_are_typed() {
    let mut scene = Scene::new();
    let mut read = |changes: &[(&str, Value)]| scene.publish(changes);
    let target = |answer: Result<Publication, PublicationError>| answer.unwrap().target;
    let ids = || Target::List(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(target(read(&[])), Target::Glob("*".to_owned()));
    for tgt in [list(&["a", "b"]), "a,b".into()] {
        assert_eq!(
            target(read(&[("tgt_type", "list".into()), ("tgt", tgt)])),
            ids()
        );
    }
    assert_eq!(
        target(read(&[("tgt_type", "pcre".into())])),
        Target::Pcre("*".to_owned())
    );
    let grain = |delimiter: &str| Target::Grain {
        expression: "*".to_owned(),
        delimiter: delimiter.to_owned(),
    };
    assert_eq!(target(read(&[("tgt_type", "grain".into())])), grain(":"));
    assert_eq!(
        target(read(&[
            ("tgt_type", "grain".into()),
            ("delimiter", "|".into())
        ])),
        grain("|")
    );
    for kind in ["compound", "nodegroup", ""] {
        assert_eq!(
            target(read(&[("tgt_type", kind.into())])),
            Target::Other(kind.to_owned())
        );
    }
    assert_eq!(
        target(read(&[("tgt", Value::Nil)])),
        Target::Other("glob".to_owned())
    );
}

#[test]
fn functions_are_typed() {
    let mut scene = Scene::new();
    let several = scene.publish(&[
        ("fun", list(&["test.ping", "test.arg"])),
        ("arg", Value::Array(vec![list(&[]), list(&["x"])])),
    ]);
    let Function::Several(calls) = several.unwrap().function else {
        panic!("two functions");
    };
    assert_eq!((calls[0].arguments.len(), calls[1].arguments.len()), (0, 1));
    for changes in [
        [("fun", list(&["test.ping"])), ("arg", list(&[]))],
        [("fun", list(&["test.ping"])), ("arg", list(&["x"]))],
        [("fun", "test.ping".into()), ("arg", "x".into())],
    ] {
        assert_eq!(
            scene.publish(&changes),
            Err(FieldError::Wrong("arg").into())
        );
    }
}

#[test]
fn a_jid_is_twenty_digits_and_perhaps_a_process() {
    for jid in ["20261122010309441121", "20261122010309441121_4711"] {
        assert_eq!(jid.parse::<Jid>().unwrap().as_str(), jid);
    }
    for text in [
        "",
        "2026",
        "2026112201030944112x",
        "20261122010309441121_",
        "20261122010309441121_x",
        "req",
    ] {
        assert_eq!(text.parse::<Jid>(), Err(BadJid), "{text}");
    }
}

/// A master that publishes, and a minion that listens.
struct Scene {
    master: Rsa<Private>,
    publications: Publications,
}

impl Scene {
    fn new() -> Self {
        let master = Rsa::generate(2048).unwrap();
        let key = PublicKey::from_components(&master.n().to_vec(), &master.e().to_vec()).unwrap();
        let aes = Crypticle::parse(KEY.as_bytes()).unwrap();
        Self {
            master,
            publications: Publications::new(aes, key, Algorithm::Sha1, None),
        }
    }

    fn publications_master(&self) -> PublicKey {
        let key = &self.master;
        PublicKey::from_components(&key.n().to_vec(), &key.e().to_vec()).unwrap()
    }

    fn open(&mut self, body: &[u8]) -> Result<Publication, PublicationError> {
        self.publications.open(body)
    }

    /// Publishes the next job with some fields changed.
    fn publish(&mut self, changes: &[(&str, Value)]) -> Result<Publication, PublicationError> {
        let serial = self.publications.last_serial().map_or(1, |last| last + 1);
        let load = changes.iter().fold(job(serial), |load, (name, value)| {
            with(load, name, value.clone())
        });
        self.open(&self.body(&load, |_| ()))
    }

    fn body(&self, load: &Value, edit: impl FnOnce(&mut Vec<(Value, Value)>)) -> Vec<u8> {
        let aes = Crypticle::parse(KEY.as_bytes()).unwrap();
        let mut outer = self.outer(&aes.seal(load, Iv::new([7; 16])).unwrap());
        edit(&mut outer);
        encode(&Value::Map(outer)).unwrap()
    }

    fn body_of(&self, sealed: &[u8]) -> Vec<u8> {
        encode(&Value::Map(self.outer(sealed))).unwrap()
    }

    fn outer(&self, sealed: &[u8]) -> Vec<(Value, Value)> {
        vec![
            ("enc".into(), "aes".into()),
            ("load".into(), sealed.into()),
            ("sig_algo".into(), "PKCS1v15-SHA1".into()),
            ("sig".into(), sign(&self.master, sealed).into()),
        ]
    }
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| (*item).into()).collect())
}

fn job(serial: u64) -> Value {
    Value::map([
        ("fun", "test.ping".into()),
        ("arg", Value::Array(Vec::new())),
        ("tgt", "*".into()),
        ("jid", "20261122010309441121".into()),
        ("ret", "".into()),
        ("tgt_type", "glob".into()),
        ("user", "root".into()),
        ("serial", serial.into()),
    ])
}

fn with(load: Value, name: &str, value: Value) -> Value {
    let Value::Map(mut entries) = load else {
        panic!("a map");
    };
    entries.retain(|(key, _)| *key != name.into());
    entries.push((name.into(), value));
    Value::Map(entries)
}

fn sign(key: &Rsa<Private>, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.size() as usize];
    let digest = Algorithm::Sha1.digest_info(message);
    key.private_encrypt(&digest, &mut signature, Padding::PKCS1)
        .unwrap();
    signature
}

/// Seals whole blocks as they are, so that the padding can be wrong.
fn seal_raw(blocks: &[u8]) -> Vec<u8> {
    let raw = STANDARD.decode(KEY).unwrap();
    let mut sealed = vec![9; 16];
    let cipher = cbc::Encryptor::<Aes192>::new(raw[..24].into(), sealed[..].into());
    let mut buffer = blocks.to_vec();
    sealed.extend_from_slice(
        cipher
            .encrypt_padded_mut::<NoPadding>(&mut buffer, blocks.len())
            .unwrap(),
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&raw[24..]).unwrap();
    mac.update(&sealed);
    sealed.extend_from_slice(&mac.finalize().into_bytes());
    sealed
}

/// A key of Salt's form that was made for these tests.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc=";
