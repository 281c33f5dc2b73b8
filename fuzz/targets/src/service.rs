//! What the signing service reads from outside: its clients, its operators, its HSM workers, its
//! own audit log and its certificates.

use std::fmt::Display;
use std::str::FromStr;

use hsm_config::{HsmName, KeyId, Uri};
use minion::log::Level;
use minion::verify::{Algorithm, KeyHash};
use minion::wire::id::MinionId;
use minion::wire::private_key::Encryption;
use minion::wire::publish::Jid;
use signer::audit::{Digest, Record};
use signer::authorize::{Identity, MasterId, Statement};
use signer::clock::Timestamp;
use signer::hsm::protocol::{Decoder, Order, Report};
use signer::pki::{Host, Request, Scope};
use signer::tls::peer::Peer;

/// A PKCS#11 URI that is understood means the same after it was written out.
pub fn hsm_uri(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(uri) = text.parse::<Uri>() {
        assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
    }
}

/// URIs as vendors write them.
#[must_use]
pub fn hsm_uri_seeds() -> Vec<Vec<u8>> {
    [
        "pkcs11:token=salt;object=master_sign;id=%a0%08;type=private",
        "pkcs11:serial=4f2a;slot-id=1?pin-source=file:/run/pin&module-path=/usr/lib/p.so",
        "pkcs11:manufacturer=SoftHSM%20project;model=v2?module-name=softhsm2",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// An operator's statement has exactly one text.
pub fn statement(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(statement) = text.parse::<Statement>() {
        assert_eq!(statement.to_string(), text);
    }
}

/// One of each verb.
#[must_use]
pub fn statement_seeds() -> Vec<Vec<u8>> {
    [
        "accept",
        "forget",
        "reinstate",
        "reject",
        "rename",
        "revoke",
    ]
    .map(|verb| {
        format!(
            "mastersign-statement-v1\n{verb}\n6f1c2a34-0000-4000-8000-0123456789ab\nsalt-1\n{}\n7\n\
                 2026-11-22T02:25:06Z\n",
            "4b".repeat(32)
        )
        .into_bytes()
    })
    .into()
}

/// Neither end of the worker's socket can be confused by the other: any bytes, in any pieces, give
/// frames or an error, and a body that is understood is the one that would be sent.
pub fn worker_frames(input: &[u8]) {
    let Some((&first, mut rest)) = input.split_first() else {
        return;
    };
    let piece = usize::from(first).saturating_add(1);
    let mut decoder = Decoder::default();
    while !rest.is_empty() {
        let space = decoder.space();
        let count = piece.min(rest.len()).min(space.len());
        assert!(count > 0, "a drained decoder has space");
        let (now, later) = rest.split_at(count);
        let (begin, _) = space.split_at_mut(count);
        begin.copy_from_slice(now);
        decoder.filled(count);
        rest = later;
        loop {
            match decoder.next() {
                Ok(Some(frame)) => body(frame.body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn body(body: &[u8]) {
    if let Ok(order) = Order::parse(body) {
        let mut out = Vec::new();
        if order.append(7, &mut out).is_ok() {
            assert_eq!(out.get(8..), Some(body));
        }
    }
    if let Ok(report) = Report::parse(body) {
        let mut out = Vec::new();
        if report.append(7, &mut out).is_ok() {
            assert_eq!(out.get(8..), Some(body));
        }
    }
}

/// Frames of every length that matters; the mutations find the operations.
#[must_use]
pub fn worker_frames_seeds() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        [&[200], &length[..], &7_u32.to_be_bytes(), body].concat()
    };
    let mut seeds: Vec<Vec<u8>> = (0..16_u8)
        .map(|operation| frame(&[operation; 40]))
        .collect();
    seeds.push(frame(&[]));
    seeds.push(frame(&[1; 4096]));
    seeds
}

/// An audit record that is read has exactly one form.
pub fn audit_record(input: &[u8]) {
    if let Ok(record) = Record::from_bytes(input) {
        assert_eq!(record.to_bytes().expect("it was read"), input);
    }
}

/// A first record and one with everything in it.
#[must_use]
pub fn audit_record_seeds() -> Vec<Vec<u8>> {
    let (zero, seven) = ("0".repeat(64), "07".repeat(32));
    [
        format!(
            r#"{{"v":1,"seq":1,"prev":"{zero}","time":"2026-11-22T02:25:06Z","actor":{{"identity":"mastersign:service","certificate":null}},"action":"store-created","subject":"store","detail":{{}},"writes":{{}}}}"#
        ),
        format!(
            r#"{{"v":1,"seq":2,"prev":"{seven}","time":"2026-11-22T02:25:06Z","actor":{{"identity":"mastersign:admin:ada","certificate":"{seven}"}},"action":"key-accepted","subject":"m1","detail":{{"generation":"1"}},"writes":{{"key/a":"{zero}","key/b":null}}}}"#
        ),
    ]
    .map(String::into_bytes)
    .into()
}

/// Whom a client certificate names can be written and read again.
pub fn client_certificate(input: &[u8]) {
    if let Ok(peer) = Peer::from_certificate(input) {
        let text = peer.identity.to_string();
        assert_eq!(text.parse(), Ok(peer.identity));
    }
}

/// A certificate as `mastersign pki` makes them.
#[must_use]
pub fn client_certificate_seeds() -> Vec<Vec<u8>> {
    vec![CERTIFICATE.to_vec()]
}

/// A certificate signing request is understood or refused.
pub fn certificate_request(input: &[u8]) {
    let _ = Request::from_pem(input);
}

/// One with a P-256 key.
#[must_use]
pub fn certificate_request_seeds() -> Vec<Vec<u8>> {
    vec![REQUEST.to_vec()]
}

/// Times, names, digests and words have one spelling, and where people may write another it means
/// the same as the one that is written.
pub fn spelling(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    has_one::<Timestamp>(text);
    has_one::<MasterId>(text);
    has_one::<Identity>(text);
    has_one::<Scope>(text);
    has_one::<Digest>(text);
    has_one::<KeyHash>(text);
    has_one::<HsmName>(text);
    has_one::<Algorithm>(text);
    has_one::<MinionId>(text);
    means_one::<Host>(text);
    means_one::<KeyId>(text);
    means_one::<Level>(text);
    if let Ok(encryption) = text.parse::<Encryption>() {
        assert_eq!(encryption.name(), text);
    }
    if let Ok(jid) = text.parse::<Jid>() {
        assert_eq!(jid.as_str(), text);
    }
}

fn has_one<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

fn means_one<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(
            written.parse::<T>().is_ok_and(|again| again == value),
            "{text:?} and {written:?}"
        );
    }
}

/// Each in a form of its own.
#[must_use]
pub fn spelling_seeds() -> Vec<Vec<u8>> {
    let digest = "0f".repeat(32);
    [
        "2026-11-22T02:25:06Z",
        "9999-12-31T23:59:59Z",
        "salt-1.example.org",
        "0000-01-01T00:00:00Z",
        "mastersign:master:salt-1",
        "mastersign:admin:ada",
        "operators",
        "sign.Example.org",
        "2001:db8::1",
        "192.0.2.1",
        "a0:08",
        "rack-1",
        "PKCS1v15-SHA224",
        "OAEP-SHA1",
        "20261122022506123456",
        "WARNING",
        &digest,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

pub(crate) const CERTIFICATE: &[u8] = include_bytes!("../seeds/client.der");
const REQUEST: &[u8] = include_bytes!("../seeds/request.pem");
