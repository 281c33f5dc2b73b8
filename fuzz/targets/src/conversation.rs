//! What a master says: the answer to a sign-in, publications, the replies to requests.
//!
//! Each is tried twice. As bytes from the network, where nothing but the recorded answer may be
//! believed; and from a hostile master that has a key of ours, whose signature is right whatever
//! the load is, because the code behind the signature is where bytes would do harm.

use minion::verify::Algorithm;
use minion::wire::auth::Refusal;
use minion::wire::crypticle::Iv;
use minion::wire::msgpack::{Value, decode, encode};
use minion::wire::publish::{PublicationError, Publications};

use crate::capture::{JOB, KNOWN, field, frames};

/// Nobody but the master that answered this very request is believed.
pub fn auth_reply(input: &[u8]) {
    for capture in [&*JOB, &*KNOWN] {
        let recorded = capture.frame("auth.reply");
        match capture.attempt().finish(input) {
            Ok(session) => {
                assert_eq!(session.master, capture.master);
                // A map is read without regard to the order of its fields or the form of its
                // lengths; what is signed is the same.
                assert_eq!(field(input, "load"), field(&recorded, "load"));
            }
            Err(Refusal::Full(proof) | Refusal::Pending(proof) | Refusal::Rejected(proof)) => {
                assert_eq!(proof, minion::wire::auth::Proof::Unverified);
            }
            Err(_) => {}
        }
    }
}

/// Recorded answers to sign-ins.
#[must_use]
pub fn auth_reply_seeds() -> Vec<Vec<u8>> {
    frames("auth.reply")
}

/// Whatever a master signs, a session is one with that master.
pub fn auth_signed_load(load: &[u8]) {
    let reply = Value::map([
        ("enc", "clear".into()),
        ("load", load.into()),
        ("sig", KNOWN.sign(load).into()),
    ]);
    let reply = encode(&reply).expect("it is small");
    if let Ok(session) = KNOWN.attempt().finish(&reply) {
        assert_eq!(session.master, KNOWN.master);
        let recorded = field(&KNOWN.frame("auth.reply"), "load").expect("a load");
        let nonce = |load: &[u8]| field(load, "nonce");
        assert_eq!(nonce(load), nonce(&recorded));
    }
}

/// The loads of recorded answers.
#[must_use]
pub fn auth_signed_load_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = frames("auth.reply")
        .iter()
        .filter_map(|reply| field(reply, "load"))
        .collect();
    // First the one that gets through.
    seeds.insert(
        0,
        field(&KNOWN.frame("auth.reply"), "load").expect("a load"),
    );
    seeds
}

/// Nothing is taken for a publication but what the master published.
pub fn publication(body: &[u8]) {
    let mut publications = publications();
    if publications.open(body).is_ok() {
        // Its publications are in other conversations as well.
        let recorded = frames(".pub");
        let load = field(body, "load");
        assert!(recorded.iter().any(|frame| field(frame, "load") == load));
    }
}

/// Recorded publications.
#[must_use]
pub fn publication_seeds() -> Vec<Vec<u8>> {
    let mut seeds = frames(".pub");
    seeds.insert(0, JOB.frame("test.ping.pub"));
    seeds
}

/// Whatever a master publishes, its serial rises.
pub fn publication_signed_load(load: &[u8]) {
    let Ok(load) = decode(load) else { return };
    let sealed = JOB
        .aes()
        .seal(&load, Iv::new([7; 16]))
        .expect("it was decoded");
    let body = Value::map([
        ("enc", "aes".into()),
        ("sig", JOB.sign(&sealed).into()),
        ("load", sealed.into()),
        ("sig_algo", "PKCS1v15-SHA1".into()),
    ]);
    let body = encode(&body).expect("it is small");
    let mut publications = publications();
    if let Ok(publication) = publications.open(&body) {
        let serial = publication.serial;
        assert_eq!(publication.load, load);
        assert_eq!(publications.last_serial(), Some(serial));
        assert_eq!(
            publications.open(&body),
            Err(PublicationError::Serial { serial })
        );
    }
}

/// The loads of recorded publications.
#[must_use]
pub fn publication_signed_load_seeds() -> Vec<Vec<u8>> {
    crate::job::seeds()
}

/// No reply is opened but the one to this request.
pub fn request_reply(reply: &[u8]) {
    let requests = JOB.requests();
    // Replies are bound to nonces of their own requests, and this is another's.
    assert!(requests.open(reply, JOB.nonce()).is_err());
}

/// Recorded replies.
#[must_use]
pub fn request_reply_seeds() -> Vec<Vec<u8>> {
    frames(".reply")
}

fn publications() -> Publications {
    Publications::new(JOB.aes(), JOB.master.clone(), Algorithm::Sha1, None)
}
