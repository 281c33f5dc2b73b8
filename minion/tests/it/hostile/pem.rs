//! Keys that a master should not show, each in the very text that its `pub_sig` covers.

use minion::verify::Algorithm;
use openssl::asn1::Asn1Time;
use openssl::base64::encode_block;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509Builder, X509NameBuilder};
use scripted_master::reply::{pack, signed};
use scripted_master::{Keypair, set};

use super::keys::keys;
use super::scene::{Contact, Fault, turns_away};

pub(super) async fn preamble_in_pem(contact: Contact) {
    let alone = "exactly one PEM block and nothing before or after it";
    turns_away(
        contact,
        vec![
            shown(alone, |pem| format!("Comment: hidden\n{pem}")),
            shown(alone, |pem| format!("Proc-Type: 4,CLEAR\n\n{pem}")),
            shown(alone, |pem| format!("x{pem}")),
            shown("not in canonical form", |pem| format!("\n{pem}")),
        ],
    )
    .await;
}

pub(super) async fn line_ends_in_pem(contact: Contact) {
    let spelled = "not in canonical form";
    let unusable = "The Salt Master server's public key is not usable";
    turns_away(
        contact,
        vec![
            shown(spelled, |pem| pem.replace('\n', "\r\n")),
            shown(spelled, |pem| format!("{pem}\n")),
            shown(unusable, |pem| pem.replace('\n', "\u{b}")),
            shown(unusable, |pem| pem.replace('\n', "\u{1c}")),
            shown(unusable, |pem| pem.replace('\n', "\u{85}")),
            shown(unusable, |pem| pem.replace('\n', "\u{2028}")),
            shown(unusable, |pem| pem.replace('\n', "\r")),
            shown(unusable, |pem| pem.replacen('\n', "\n\u{b}", 2)),
            shown(unusable, |pem| format!("\u{feff}{pem}")),
        ],
    )
    .await;
}

pub(super) async fn other_kind_of_pem(contact: Contact) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let curve = EcKey::generate(&group).unwrap().public_key_to_pem();
    let curve = String::from_utf8(curve.unwrap()).unwrap();
    let private = String::from_utf8(keys().hostile.to_pem()).unwrap();
    let of_itself = certificate(&keys().hostile);
    let by_signer = certificate(&keys().signer);
    let short = keys().short.public();
    let small = keys().small_exponent.public();
    let small_signed = keys().signer.pub_sig(Algorithm::Sha1, small);
    let short_signed = keys().signer.pub_sig(Algorithm::Sha1, short);
    turns_away(
        contact,
        vec![
            shown("this is a private key", move |_| private.clone()),
            shown("this is a certificate", {
                let certificate = of_itself.clone();
                move |_| certificate.clone()
            }),
            shown("this is a certificate", move |_| by_signer.clone()),
            shown("is not a public key", {
                let label = "X509 CERTIFICATE";
                let certificate = of_itself.replace("CERTIFICATE", label);
                move |_| certificate.clone()
            }),
            // What is in it is a certificate, whatever it is called.
            shown("does not hold an RSA public key", move |_| {
                of_itself.replace("CERTIFICATE", "PUBLIC KEY")
            }),
            shown("does not hold an RSA public key", move |_| {
                curve.trim_end().to_owned()
            }),
            // A key that is too short, signed for the fleet, and its owner signs with it.
            Fault::reply("is too weak: 1024 bits", move |exchange| {
                let mut load = exchange.load();
                set(&mut load, "pub_key", short.canonical());
                set(&mut load, "pub_sig", short_signed.as_str());
                pack(signed(&pack(load), &keys().short, Algorithm::Sha1))
            }),
            // One with an exponent that others have forged signatures for.
            Fault::reply("an exponent other than 65537", move |exchange| {
                let mut load = exchange.load();
                set(&mut load, "pub_key", small.canonical());
                set(&mut load, "pub_sig", small_signed.as_str());
                pack(signed(&pack(load), &keys().small_exponent, Algorithm::Sha1))
            }),
            shown("is not a public key", |pem| {
                pem.replace("PUBLIC KEY", &"\u{1b}[2J\n".repeat(50_000))
            }),
            shown("there is no PEM block", |_| String::new()),
            Fault::load("the key is not text", |load, _| {
                set(load, "pub_key", &[0xff_u8, 0xfe][..]);
            }),
        ],
    )
    .await;
}

pub(super) async fn two_pem_blocks(contact: Contact) {
    let alone = "exactly one PEM block and nothing before or after it";
    let other = keys().good.public().canonical();
    let certificate = certificate(&keys().hostile);
    turns_away(
        contact,
        vec![
            shown(alone, |pem| format!("{pem}\n{pem}")),
            shown(alone, move |pem| format!("{pem}\n{other}")),
            shown(alone, move |pem| format!("{other}\n{pem}")),
            shown(alone, move |pem| format!("{pem}\n{certificate}")),
        ],
    )
    .await;
}

/// An X.509 certificate of the hostile master's key, in the form in which a key is shown.
fn certificate(issuer: &Keypair) -> String {
    let private = |key: &Keypair| PKey::private_key_from_pem(&key.to_pem()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "salt.example.org").unwrap();
    let name = name.build();
    let mut certificate = X509Builder::new().unwrap();
    certificate.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    certificate.set_serial_number(&serial).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    let (begin, end) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    certificate.set_not_before(&begin.unwrap()).unwrap();
    certificate.set_not_after(&end.unwrap()).unwrap();
    certificate.set_pubkey(&private(&keys().hostile)).unwrap();
    certificate
        .sign(&private(issuer), MessageDigest::sha256())
        .unwrap();
    let certificate = certificate.build();
    assert!(certificate.verify(&private(issuer)).unwrap());
    let pem = String::from_utf8(certificate.to_pem().unwrap()).unwrap();
    pem.trim_end().to_owned()
}

/// A key of this spelling, which its `pub_sig` covers.
fn shown(says: &str, spell: impl Fn(&str) -> String + Send + Sync + 'static) -> Fault {
    Fault::load(says, move |load, exchange| {
        let text = spell(exchange.key().public().canonical());
        let signature = keys().signer.sign(Algorithm::Sha1, text.as_bytes());
        set(load, "pub_key", text.as_str());
        set(load, "pub_sig", encode_block(&signature).as_str());
    })
}
