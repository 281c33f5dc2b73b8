//! draft
use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use softhsm_tests::salt::*;
use std::fs;

struct Fake(PKey<Private>);
impl Fake {
    fn sign(&self, i: &Installation, a: Algorithm, nl: bool) {
        let d = match a {
            Algorithm::Sha1 => MessageDigest::sha1(),
            Algorithm::Sha224 => MessageDigest::sha224(),
        };
        let mut s = openssl::sign::Signer::new(d, &self.0).unwrap();
        let key = PublicKey::parse(i.public_key().unwrap().as_bytes()).unwrap();
        s.update(key.canonical().as_bytes()).unwrap();
        if nl {
            s.update(b"\n").unwrap();
        }
        fs::write(
            i.signature_file(),
            Signature::new(s.sign_to_vec().unwrap()).to_file(),
        )
        .unwrap();
    }
    fn public(&self) -> String {
        String::from_utf8(self.0.public_key_to_pem().unwrap()).unwrap()
    }
    fn new() -> Self {
        Self(PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
    }
}

fn t(s: &str, start: std::time::Instant) {
    eprintln!("{:6.2} {s}", start.elapsed().as_secs_f32());
}

fn scenario(version: Version) {
    let _turn = Turn::take().unwrap();
    let now = std::time::Instant::now();
    for algorithm in Algorithm::ALL {
        let key = Fake::new();
        let i = Installation::create(version, "alpha").unwrap();
        key.sign(&i, algorithm, false);
        let master = i.start().unwrap();
        t("master up", now);
        let trusted = key.public();
        let m = Minion::start(MinionConfig {
            version,
            id: "mole",
            masters: &[master.address()],
            trusted: &trusted,
            algorithm,
        })
        .unwrap();
        m.log()
            .wait_for("Successfully verified signature of master public key")
            .unwrap();
        t("verified", now);
        m.log()
            .wait_for("Minion is ready to receive requests!")
            .unwrap();
        t("ready", now);
        eprintln!("{}", master.ping().unwrap());
        t("pinged", now);
        eprintln!(
            "{:?}",
            fs::read_dir(master.installation().pki_dir())
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect::<Vec<_>>()
        );
    }
    let key = Fake::new();
    let mut masters = vec![];
    for kind in 0..5 {
        let i = Installation::create(version, &format!("m{kind}")).unwrap();
        match kind {
            0 => Fake::new().sign(&i, Algorithm::Sha1, false),
            1 => {
                let j = Installation::create(version, "x").unwrap();
                key.sign(&j, Algorithm::Sha1, false);
                fs::copy(j.signature_file(), i.signature_file()).unwrap();
            }
            2 => key.sign(&i, Algorithm::Sha1, true),
            _ => key.sign(&i, Algorithm::Sha1, false),
        }
        masters.push(i.start().unwrap());
        t("up", now);
    }
    let trusted = key.public();
    let a: Vec<_> = masters.iter().map(Master::address).collect();
    let m = Minion::start(MinionConfig {
        version,
        id: "mole",
        masters: &a,
        trusted: &trusted,
        algorithm: Algorithm::Sha1,
    })
    .unwrap();
    m.log()
        .wait_for("Minion is ready to receive requests!")
        .unwrap();
    t("walked", now);
    for l in m
        .log()
        .text()
        .lines()
        .filter(|l| l.contains("uthenticat") || l.contains("aster pub") || l.contains("failed"))
    {
        eprintln!("{l}");
    }
    eprintln!("{}", masters[3].ping().unwrap());
    let mark = m.log().len();
    masters[3].kill();
    t("killed", now);
    m.log()
        .wait_for_after(mark, "Minion is ready to receive requests!")
        .unwrap();
    t("moved", now);
    eprintln!("{}", masters[4].ping().unwrap());
    t("pinged", now);
    drop(m);
    drop(masters);
    t("dropped", now);
}
#[test]
fn s3006() {
    scenario(Version::V3006)
}
#[test]
fn s3007() {
    scenario(Version::V3007)
}
#[test]
fn s3008() {
    scenario(Version::V3008)
}
