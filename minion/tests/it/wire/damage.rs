//! Every truncation of every recorded frame, and 256 of its bits flipped one at a time, is refused
//! by whoever the frame is for.

use std::collections::BTreeMap;

use minion::verify::{Algorithm, PublicKey};
use minion::wire::auth::Refusal;
use minion::wire::crypticle::{Crypticle, OpenError};
use minion::wire::msgpack::{Fields, Value, decode};
use minion::wire::private_key::Encryption;
use minion::wire::request::is_pong;
use scripted_master::Keypair;

use super::capture::{Capture, Party, captures, damaged, nonce};
use super::captures::sealed_part;

/// What a frame is, by its name and by what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Answer,
    BadLoad,
    Pillar,
    PingInClear,
    Pong,
    Publication,
    Reply,
    SealedRequest,
    SignIn,
}

impl Kind {
    fn of(name: &str, frame: &[u8]) -> Self {
        let sealed = || Fields::decode(frame).unwrap().text("enc").unwrap() == "aes";
        match name {
            "auth.request" => Self::SignIn,
            "auth.reply" => Self::Answer,
            "ping.request" => Self::PingInClear,
            "ping.reply" => Self::Pong,
            "pillar.reply" => Self::Pillar,
            "call.reply" => Self::BadLoad,
            name if name.ends_with(".pub") && sealed() => Self::Publication,
            name if name.ends_with(".request") && sealed() => Self::SealedRequest,
            name if name.ends_with(".reply") => Self::Reply,
            name => panic!("{name} is of no kind"),
        }
    }
}

#[test]
fn every_damaged_frame_is_refused() {
    let mut counts = BTreeMap::<Kind, usize>::new();
    let (mut bytes, mut refused) = (0, 0);
    for capture in captures() {
        let judge = Judge::new(&capture);
        for name in capture.frames() {
            let frame = capture.frame(&name);
            let kind = Kind::of(&name, &frame);
            let taken = judge.takes(kind, &name, &frame);
            for damaged in damaged(&frame) {
                if damaged.len() < frame.len() {
                    let cut = decode(&damaged);
                    assert!(cut.is_err(), "{} {name} {}", capture.case, damaged.len());
                }
                let shown = || hex::encode(&damaged);
                assert!(!taken(&damaged), "{} {name}: {}", capture.case, shown());
                refused += 1;
            }
            bytes += frame.len();
            *counts.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(counts.values().sum::<usize>(), super::FRAMES);
    assert_eq!(refused, bytes + 256 * super::FRAMES);
    let expected = [
        (Kind::Answer, 122),
        (Kind::BadLoad, 15),
        (Kind::Pillar, 3),
        (Kind::PingInClear, 3),
        (Kind::Pong, 3),
        (Kind::Publication, 75),
        (Kind::Reply, 75),
        (Kind::SealedRequest, 93),
        (Kind::SignIn, 126),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn every_damaged_sealed_load_is_refused_before_it_is_decrypted() {
    let mut count = 0;
    for capture in captures() {
        for name in capture.frames() {
            let json = capture.json(&name);
            let Some(key) = json["decrypted_with"].as_str() else {
                continue;
            };
            let key = capture.crypticle(key);
            for damaged in damaged(&sealed_part(&capture.frame(&name))) {
                let opened = key.open(&damaged);
                assert_eq!(opened, Err(OpenError::Sealed), "{} {name}", capture.case);
            }
            count += 1;
        }
    }
    // Those that open, and those under a key that the master does not know.
    assert_eq!(count, 240 + 3);
}

/// Whether a damaged frame is taken.
type Taker<'a> = Box<dyn Fn(&[u8]) -> bool + 'a>;

/// Whoever a frame is for.
struct Judge<'a> {
    capture: &'a Capture,
    encryption: Encryption,
    /// What the minion that asked knew.
    known: Option<PublicKey>,
    master: PublicKey,
    minion: Keypair,
    party: Party,
}

impl<'a> Judge<'a> {
    fn new(capture: &'a Capture) -> Self {
        Self {
            capture,
            encryption: capture.algorithms().encryption,
            known: capture.known(),
            master: capture.master(),
            minion: Keypair::from_pem(capture.text("minion_pem")),
            party: Party::new(capture),
        }
    }

    /// Whether the damaged frame is taken for one of the master, or of the minion, that recorded
    /// it. What nobody signs or seals must at least mean something else.
    fn takes<'b>(&'b self, kind: Kind, name: &str, frame: &'b [u8]) -> Taker<'b> {
        let original = decode(frame).unwrap();
        let json = self.capture.json(name);
        match kind {
            Kind::SignIn | Kind::PingInClear => {
                Box::new(move |damaged| decode(damaged).is_ok_and(|value| value == original))
            }
            Kind::Answer => Box::new(|damaged| self.lets_in_or_turns_away(damaged)),
            Kind::BadLoad | Kind::Reply => {
                // A refusal has no nonce, and is no reply to any.
                let echo = json["nonce"].as_str().unwrap_or(NONE).to_owned();
                let requests = self.party.requests();
                Box::new(move |damaged| requests.open(damaged, nonce(&echo)).is_ok())
            }
            Kind::Pillar => Box::new(|damaged| self.opens_pillar(damaged)),
            Kind::Pong => Box::new(is_pong),
            Kind::Publication => {
                let fresh = || self.capture.publications();
                Box::new(move |damaged| fresh().open(damaged).is_ok())
            }
            Kind::SealedRequest => {
                let session = self.capture.crypticle("session");
                Box::new(move |damaged| opens_request(&session, frame, damaged))
            }
        }
    }

    /// As the minion that asked, and as one that knows the master: neither is let in, and the
    /// second is not turned away as if the master had said so.
    fn lets_in_or_turns_away(&self, damaged: &[u8]) -> bool {
        if decode(damaged).is_err() {
            // A token for a known master is dear, and is not what this depends on.
            return self.party.answer(None, damaged).is_ok();
        }
        let as_asked = self.party.answer(self.known.as_ref(), damaged);
        let as_known = self.party.answer(Some(&self.master), damaged);
        let said = matches!(
            as_known,
            Err(Refusal::Full(_) | Refusal::Pending(_) | Refusal::Rejected(_))
        );
        as_asked.is_ok() || as_known.is_ok() || said
    }

    fn opens_pillar(&self, damaged: &[u8]) -> bool {
        let open = || {
            let mut outer = Fields::decode(damaged).ok()?;
            let (key, sealed) = (outer.bytes("key").ok()?, outer.bytes("pillar").ok()?);
            let key = self.minion.decrypt(self.encryption, &key)?;
            let inner = Crypticle::parse(&key).ok()?.open(&sealed).ok()?;
            let mut inner = Fields::new(inner).ok()?;
            let info = Algorithm::Sha1.digest_info(&inner.bytes("data").ok()?);
            let signature = inner.bytes("sig").ok()?;
            self.master.verify_digest_info(&info, &signature).ok()
        };
        open().is_some()
    }
}

/// The seal is of the load alone; what stands around it says who asks and how, and the master
/// compares it.
fn opens_request(session: &Crypticle, frame: &[u8], damaged: &[u8]) -> bool {
    let split = |frame: &[u8]| {
        let Value::Map(mut outer) = decode(frame).ok()? else {
            return None;
        };
        let load = outer
            .iter()
            .position(|(name, _)| name.as_text() == Some("load"))?;
        let (_, load) = outer.remove(load);
        Some((load.as_bytes()?.to_vec(), outer))
    };
    let Some((load, rest)) = split(damaged) else {
        return false;
    };
    let same = split(frame).is_some_and(|(_, original)| rest == original);
    same && session.open(&load).is_ok()
}

/// A nonce that nobody had.
const NONE: &str = "00000000000000000000000000000000";
