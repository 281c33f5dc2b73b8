//! The promise itself, on real Salt: a minion trusts a master by a file that only the HSM could
//! have signed, moves to the next master by it, and trusts no other file.

use std::fs;
use std::process::Command;

use minion::verify::{Algorithm, KeyHash, PublicKey, Signature};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::rounds;
use softhsm_tests::salt::{Installation, Master, Minion, MinionConfig, Turn, Version};
use softhsm_tests::search;
use softhsm_tests::service::{Service, Site};

/// The same promises on every Salt, with both of its algorithms.
macro_rules! on {
    ($module:ident, $version:expr) => {
        mod $module {
            use super::*;

            on!(sha1, $version, Algorithm::Sha1);
            on!(sha224, $version, Algorithm::Sha224);
        }
    };
    ($module:ident, $version:expr, $algorithm:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn a_minion_trusts_a_master_that_has_no_signing_key() {
                sign_in($version, $algorithm);
            }

            #[test]
            fn foreign_forged_and_newline_damaged_signatures_do_not_authenticate() {
                refuse($version, $algorithm);
            }

            #[test]
            fn a_minion_moves_to_the_next_master_and_no_signing_key_is_anywhere() {
                for _ in 0..rounds() {
                    fail_over($version, $algorithm);
                }
            }
        }
    };
}

on!(salt_3006, Version::V3006);
on!(salt_3007, Version::V3007);
on!(salt_3008, Version::V3008);

fn sign_in(version: Version, algorithm: Algorithm) {
    let (_turn, site, service) = begin();
    let master = signed(&site, &service, version, "alpha", algorithm)
        .start()
        .unwrap();
    let minion = start_minion(&site, version, algorithm, &[&master]);
    expect_trust(&minion, 0, &master);

    // By now Salt 3008 has put its key pair under other names; the file is still the right one.
    let again = fetch(&site, &service, master.installation(), "alpha", algorithm);
    let answer = run(&again).unwrap();
    assert!(answer.contains("unchanged"), "{answer}");
}

/// One minion walks along four masters; only the last one has a good file.
fn refuse(version: Version, algorithm: Algorithm) {
    let (_turn, site, service) = begin();
    let other = Installation::create(version, "other").unwrap();
    sign(&site, &service, &other, "other", algorithm);

    let foreign = Installation::create(version, "foreign").unwrap();
    let stranger = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let digest = match algorithm {
        Algorithm::Sha1 => MessageDigest::sha1(),
        Algorithm::Sha224 => MessageDigest::sha224(),
    };
    let signature = openssl::sign::Signer::new(digest, &stranger)
        .and_then(|mut signer| {
            signer.sign_oneshot_to_vec(public_key(&foreign).canonical().as_bytes())
        })
        .unwrap();
    write_signature(&foreign, signature);

    let forged = Installation::create(version, "forged").unwrap();
    fs::copy(other.signature_file(), forged.signature_file()).unwrap();

    // What salt-key of some releases made: the right key, over the key with its final newline.
    let damaged = Installation::create(version, "damaged").unwrap();
    let with_newline = public_key(&damaged).to_file();
    let signature = site
        .token()
        .sign_anything(&algorithm.digest_info(with_newline.as_bytes()))
        .unwrap();
    write_signature(&damaged, signature);

    let bad: Vec<Master> = [foreign, forged, damaged]
        .map(|it| it.start().unwrap())
        .into();
    let good = signed(&site, &service, version, "good", algorithm)
        .start()
        .unwrap();
    let masters: Vec<&Master> = bad.iter().chain([&good]).collect();
    let minion = start_minion(&site, version, algorithm, &masters);
    expect_trust(&minion, 0, &good);

    for master in &bad {
        let refusal = format!(
            "Received signed public-key from master {} but signature verification failed!",
            master.address()
        );
        assert_eq!(minion.log().count(&refusal), 1, "{refusal}");
    }
    assert_eq!(minion.log().count("did not authenticate!"), bad.len());
}

fn fail_over(version: Version, algorithm: Algorithm) {
    let (_turn, site, service) = begin();
    let mut first = signed(&site, &service, version, "alpha", algorithm)
        .start()
        .unwrap();
    let second = signed(&site, &service, version, "beta", algorithm)
        .start()
        .unwrap();
    // Signature files stay good without the service.
    assert!(service.stop().unwrap().success());
    let minion = start_minion(&site, version, algorithm, &[&first, &second]);
    expect_trust(&minion, 0, &first);

    let mark = minion.log().len();
    first.kill();
    expect_trust(&minion, mark, &second);

    let roots = [
        site.directory(),
        first.installation().config_dir(),
        second.installation().config_dir(),
        minion.directory(),
    ];
    let signing_key = site.token().public_key();
    let report = search::for_private_key(&signing_key.modulus(), &roots).unwrap();
    assert!(
        report.found.is_empty(),
        "the signing key is in {:?}",
        report.found
    );
    // The same search finds the masters' own private keys, which are in the same places.
    for master in [&first, &second] {
        let key = public_key(master.installation());
        let report = search::for_private_key(&key.modulus(), &roots).unwrap();
        let pki = master.installation().pki_dir();
        assert!(
            report.found.iter().any(|path| path.starts_with(&pki)),
            "{report:?}"
        );
    }
}

fn begin() -> (Turn, Site, Service) {
    let turn = Turn::take().unwrap();
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    (turn, site, service)
}

/// A master's files, with the signature that the service made for it.
fn signed(
    site: &Site,
    service: &Service,
    version: Version,
    id: &str,
    algorithm: Algorithm,
) -> Installation {
    let installation = Installation::create(version, id).unwrap();
    sign(site, service, &installation, id, algorithm);
    installation
}

/// What master and operator do, with the commands that they have for it.
fn sign(
    site: &Site,
    service: &Service,
    installation: &Installation,
    id: &str,
    algorithm: Algorithm,
) {
    site.pki().master(id).unwrap();
    let fetch = fetch(site, service, installation, id, algorithm);
    let (status, _, complaint) = attempt(&fetch).unwrap();
    assert_eq!(status.code(), Some(PENDING), "{complaint}");
    assert!(!installation.signature_file().exists());
    accept(site, service, id, public_key(installation).hash());
    run(&fetch).unwrap();
}

fn fetch(
    site: &Site,
    service: &Service,
    installation: &Installation,
    id: &str,
    algorithm: Algorithm,
) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args([
            "fetch",
            "--url",
            &service.url(),
            "--algorithm",
            algorithm.name(),
        ])
        .args(site.pki().master_papers(id).options())
        .arg("--master-sign-pub")
        .arg(site.token().public_key_file())
        .arg("--salt-config")
        .arg(installation.config_dir());
    command
}

fn accept(site: &Site, service: &Service, id: &str, key: KeyHash) {
    let admin = site.pki().admin(&format!("admin-of-{id}")).unwrap();
    run(mastersign()
        .unwrap()
        .args(["masters", "accept", id, "--key", &key.to_string()])
        .args(["--url", &service.url()])
        .args(admin.operator_options()))
    .unwrap();
}

/// The exit code of `mastersign fetch` while no operator has decided.
const PENDING: i32 = 3;

fn start_minion(
    site: &Site,
    version: Version,
    algorithm: Algorithm,
    masters: &[&Master],
) -> Minion {
    let masters: Vec<_> = masters.iter().map(|master| master.address()).collect();
    Minion::start(MinionConfig {
        version,
        id: "mole",
        masters: &masters,
        trusted: &fs::read_to_string(site.token().public_key_file()).unwrap(),
        algorithm,
    })
    .unwrap()
}

/// The minion verifies this master's key, signs in, and answers through it.
fn expect_trust(minion: &Minion, from: usize, master: &Master) {
    let log = minion.log();
    let signed_in = format!(
        "Received signed and verified master pubkey from master {}",
        master.address()
    );
    log.wait_for_after(from, "Successfully verified signature of master public key")
        .unwrap();
    log.wait_for_after(from, &signed_in).unwrap();
    log.wait_for_after(from, "Minion is ready to receive requests!")
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&master.ping().unwrap()).unwrap();
    assert_eq!(answer, serde_json::json!({ "mole": true }));
}

fn public_key(installation: &Installation) -> PublicKey {
    PublicKey::parse(installation.public_key().unwrap().as_bytes()).unwrap()
}

fn write_signature(installation: &Installation, signature: Vec<u8>) {
    fs::write(
        installation.signature_file(),
        Signature::new(signature).to_file(),
    )
    .unwrap();
}
