//! The promise itself, on real Salt: a minion trusts a master by a file that only the HSM could
//! have signed, moves to the next master by it, and trusts no other file.

use std::fs;

use minion::verify::{Algorithm, PublicKey};
use softhsm_tests::process::run;
use softhsm_tests::rounds;
use softhsm_tests::salt::{
    Installation, Master, Minion, MinionConfig, Signatory, Turn, Version, sign_as_stranger,
    write_signature,
};
use softhsm_tests::search;

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
    let (_turn, signatory) = begin();
    let master = signed(&signatory, version, "alpha", algorithm)
        .start()
        .unwrap();
    let trusted = signatory.trusted().unwrap();
    let minion = start_minion(&trusted, version, algorithm, &[&master]);
    expect_trust(&minion, 0, &master);

    // By now Salt 3008 has put its key pair under other names; the file is still the right one.
    let again = signatory.fetch(master.installation(), "alpha", algorithm);
    let answer = run(&again.unwrap()).unwrap();
    assert!(answer.contains("unchanged"), "{answer}");
}

/// One minion walks along four masters; only the last one has a good file.
fn refuse(version: Version, algorithm: Algorithm) {
    let (_turn, signatory) = begin();
    let other = signed(&signatory, version, "other", algorithm);

    let foreign = Installation::create(version, "foreign").unwrap();
    sign_as_stranger(&foreign, algorithm).unwrap();

    let forged = Installation::create(version, "forged").unwrap();
    fs::copy(other.signature_file(), forged.signature_file()).unwrap();

    // What salt-key of some releases made: the right key, over the key with its final newline.
    let damaged = Installation::create(version, "damaged").unwrap();
    let with_newline = public_key(&damaged).to_file();
    let token = signatory.site().token();
    let signature = token
        .sign_anything(&algorithm.digest_info(with_newline.as_bytes()))
        .unwrap();
    write_signature(&damaged, signature).unwrap();

    let bad: Vec<Master> = [foreign, forged, damaged]
        .map(|it| it.start().unwrap())
        .into();
    let good = signed(&signatory, version, "good", algorithm)
        .start()
        .unwrap();
    let masters: Vec<&Master> = bad.iter().chain([&good]).collect();
    let trusted = signatory.trusted().unwrap();
    let minion = start_minion(&trusted, version, algorithm, &masters);
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
    let (_turn, signatory) = begin();
    let trusted = signatory.trusted().unwrap();
    let mut first = signed(&signatory, version, "alpha", algorithm)
        .start()
        .unwrap();
    let second = signed(&signatory, version, "beta", algorithm)
        .start()
        .unwrap();
    // Signature files stay good without the service.
    let site = signatory.stop().unwrap();
    let minion = start_minion(&trusted, version, algorithm, &[&first, &second]);
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

fn begin() -> (Turn, Signatory) {
    (Turn::take().unwrap(), Signatory::start().unwrap())
}

/// A master's files, with the signature that the service made for it.
fn signed(signatory: &Signatory, version: Version, id: &str, algorithm: Algorithm) -> Installation {
    let installation = Installation::create(version, id).unwrap();
    signatory.sign(&installation, id, algorithm).unwrap();
    installation
}

fn start_minion(
    trusted: &str,
    version: Version,
    algorithm: Algorithm,
    masters: &[&Master],
) -> Minion {
    let masters: Vec<_> = masters
        .iter()
        .map(|master| master.address().to_string())
        .collect();
    Minion::start(MinionConfig {
        version,
        id: "mole",
        masters: &masters,
        trusted,
        algorithm,
        namespace: None,
        log_level: "debug",
        alive_interval: "2",
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
