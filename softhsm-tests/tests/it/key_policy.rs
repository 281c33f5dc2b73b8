//! Our verdicts on weak keys beside those of others: `roca-detect`, by those who found the weakness,
//! and `badkeys`. The keys are made here, from the structures that were published.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use minion::verify::PublicKey;
use num_bigint::BigUint;
use openssl::bn::{BigNum, BigNumContext};
use serde::Deserialize;
use signer::key_policy::{examine, shared_factor};

#[test]
fn keys_of_the_infineon_library_are_told_from_others_as_roca_detect_and_badkeys_do() {
    let mut cases: Vec<(BigUint, &str)> = Vec::new();
    // The number of primes in M for each length: Nemec et al., CCS 2017, table 1.
    for (bits, count) in [(2048, 126), (3072, 126), (4096, 225)] {
        let (p, q) = (roca_prime(bits / 2, count), roca_prime(bits / 2, count));
        cases.push((&p * &q, "roca"));
        // One foreign prime is enough to be another key.
        cases.push((p * prime(bits / 2), ""));
    }
    for (bits, count) in [(2048, 24), (3072, 4), (4096, 2)] {
        cases.extend((0..count).map(|_| (prime(bits / 2) * prime(bits / 2), "")));
    }
    let verdicts = ask(cases.iter().map(|(modulus, _)| modulus));
    for ((modulus, expected), theirs) in cases.iter().zip(verdicts.each) {
        let is_roca = *expected == "roca";
        assert_eq!(ours(modulus), *expected, "{modulus:x}");
        assert_eq!(theirs.roca_by_residues, is_roca, "{modulus:x}");
        assert_eq!(theirs.roca_by_logarithm, is_roca, "{modulus:x}");
        assert_eq!(theirs.roca_of_badkeys, is_roca, "{modulus:x}");
        assert!(!theirs.close_primes && !theirs.small_factor, "{modulus:x}");
    }
}

/// We look at one small prime after the other, as `roca-detect` did first: that takes one ordinary key
/// in 2²⁷ for such a one. The discrete logarithm modulo all of them at once would tell even those
/// apart; a master that is so unlucky makes another key.
#[test]
fn what_only_looks_like_a_key_of_that_library_is_refused_as_well() {
    let modulus = loop {
        let modulus = by_remainders(39);
        if ours(&modulus) != "small-factor" {
            break modulus;
        }
    };
    let theirs = ask([&modulus]).each.remove(0);
    assert_eq!(ours(&modulus), "roca");
    assert!(theirs.roca_by_residues);
    assert!(!theirs.roca_by_logarithm && !theirs.roca_of_badkeys);
}

#[test]
fn close_primes_are_found_up_to_our_bound_where_badkeys_stops_earlier() {
    let steps = [0, 1, 50, 99, 100, 109, 110, 111];
    let moduli = steps.map(close);
    let verdicts = ask(&moduli);
    for ((steps, modulus), theirs) in steps.iter().zip(&moduli).zip(verdicts.each) {
        let found = ours(modulus);
        assert_eq!(
            found,
            if *steps < 110 { "close-primes" } else { "" },
            "{steps}"
        );
        assert_eq!(theirs.close_primes, *steps < 100, "{steps}");
    }
}

/// Boulder's bound is 752 and badkeys' is 65537: beyond ours a key is not told to be weak by this
/// alone, because what is left of it may well be hard to factor.
#[test]
fn small_factors_are_found_up_to_our_bound() {
    let factors = [3_u32, 5, 743, 751, 757, 65_521, 65_537];
    let moduli = factors.map(|factor| prime(2037) * factor);
    for ((factor, modulus), theirs) in factors.iter().zip(&moduli).zip(ask(&moduli).each) {
        let expected = if *factor < 752 { "small-factor" } else { "" };
        assert_eq!(ours(modulus), expected, "{factor}");
        assert!(theirs.small_factor, "{factor}");
    }
}

#[test]
fn shared_primes_are_found_where_the_greatest_common_divisors_of_all_pairs_find_them() {
    let primes: Vec<BigUint> = (0..10).map(|_| prime(1024)).collect();
    let pairs = [(0, 1), (2, 3), (1, 4), (5, 6), (7, 8), (4, 9)];
    let moduli: Vec<BigUint> = pairs
        .iter()
        .map(|(p, q)| &primes[*p] * &primes[*q])
        .collect();
    let keys: Vec<_> = moduli
        .iter()
        .map(|modulus| Arc::new(key(modulus)))
        .collect();
    let shared = ask(&moduli).shared;
    assert_eq!(shared, [[0, 2], [2, 5]]);
    for (index, key) in keys.iter().enumerate() {
        let partners = shared
            .iter()
            .filter(|pair| pair.contains(&index))
            .map(|pair| {
                let other = if pair[0] == index { pair[1] } else { pair[0] };
                keys[other].hash()
            });
        let partners: Vec<_> = partners.collect();
        match shared_factor(key, &keys) {
            Some(found) => assert!(partners.contains(&found), "{index}"),
            None => assert!(partners.is_empty(), "{index}"),
        }
    }
}

/// Our word for what is wrong with a modulus; none if nothing is.
fn ours(modulus: &BigUint) -> &'static str {
    examine(&key(modulus))
        .err()
        .map_or("", |refusal| refusal.code())
}

fn key(modulus: &BigUint) -> PublicKey {
    PublicKey::from_components(&modulus.to_bytes_be(), &[1, 0, 1]).unwrap()
}

#[derive(Deserialize)]
struct Theirs {
    roca_by_residues: bool,
    roca_by_logarithm: bool,
    roca_of_badkeys: bool,
    close_primes: bool,
    small_factor: bool,
}

struct Verdicts {
    each: Vec<Theirs>,
    shared: Vec<[usize; 2]>,
}

fn ask<'a>(moduli: impl IntoIterator<Item = &'a BigUint>) -> Verdicts {
    let lines: Vec<String> = moduli
        .into_iter()
        .map(|modulus| format!("{modulus:x}\n"))
        .collect();
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let cache = cache.map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let home = cache.join("mastersign/oracles");
    assert!(
        home.join(".complete").exists(),
        "there is no finished {}; run softhsm-tests/setup/oracles.sh",
        home.display()
    );
    let mut child = Command::new(home.join("bin/python"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/key_policy/oracle.py"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.concat().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answer = String::from_utf8(output.stdout).unwrap();
    let mut answers: Vec<&str> = answer.lines().collect();
    assert_eq!(answers.len(), lines.len() + 1);
    let shared = serde_json::from_str(answers.pop().unwrap()).unwrap();
    let each = answers
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Verdicts { each, shared }
}

/// `k·M + (65537^a mod M)`, where `M` is the product of the first `count` primes.
fn roca_prime(bits: u64, count: usize) -> BigUint {
    let product: BigUint = small_primes(count).map(BigUint::from).product();
    let power = random(64);
    let offset = BigUint::from(65_537_u32).modpow(&power, &product);
    let mut candidate = (prime(bits) / &product) * &product + offset;
    while !is_prime(&candidate) {
        candidate += &product;
    }
    assert_eq!(candidate.bits(), bits);
    candidate
}

/// A number of 2048 bits that is a power of 65537 modulo each of the first primes, by a power of its
/// own for each.
fn by_remainders(count: usize) -> BigUint {
    let product: BigUint = small_primes(count).map(BigUint::from).product();
    let remainder: BigUint = small_primes(count)
        .map(|prime| {
            let prime = BigUint::from(prime);
            let residue = BigUint::from(65_537_u32).modpow(&random(16), &prime);
            let others = &product / &prime;
            let inverse = others.modinv(&prime).unwrap();
            residue * others * inverse
        })
        .sum();
    let high = (BigUint::from(0b11_u32) << 2046_u32) + random(2045);
    (high / &product) * &product + remainder % &product
}

/// A modulus of 2048 bits that Fermat's method takes so many steps for.
fn close(steps: u32) -> BigUint {
    let p = prime(1024);
    // The middle of the primes is d²/8p above the root of the modulus, which is rounded up.
    let distance = (&p * (8 * steps + 4)).sqrt();
    let q = next_prime(&p + distance);
    let modulus = &p * &q;
    let mut root = modulus.sqrt();
    if &root * &root < modulus {
        root += 1_u32;
    }
    assert_eq!((p + q) / 2_u32 - root, BigUint::from(steps));
    modulus
}

fn small_primes(count: usize) -> impl Iterator<Item = u32> {
    let is_prime = |number: &u32| {
        (2..*number)
            .take_while(|d| d * d <= *number)
            .all(|d| !number.is_multiple_of(d))
    };
    (2_u32..).filter(is_prime).take(count)
}

fn random(bits: i32) -> BigUint {
    let mut number = BigNum::new().unwrap();
    number
        .rand(bits, openssl::bn::MsbOption::MAYBE_ZERO, false)
        .unwrap();
    BigUint::from_bytes_be(&number.to_vec())
}

/// A prime whose two highest bits are set.
fn prime(bits: u64) -> BigUint {
    let mut number = BigNum::new().unwrap();
    number
        .generate_prime(i32::try_from(bits).unwrap(), false, None, None)
        .unwrap();
    BigUint::from_bytes_be(&number.to_vec())
}

fn next_prime(from: BigUint) -> BigUint {
    let mut candidate = from | BigUint::from(1_u32);
    while !is_prime(&candidate) {
        candidate += 2_u32;
    }
    candidate
}

fn is_prime(number: &BigUint) -> bool {
    let number = BigNum::from_slice(&number.to_bytes_be()).unwrap();
    let mut context = BigNumContext::new().unwrap();
    number.is_prime_fasttest(0, &mut context, true).unwrap()
}
