//! Our verdict against that of the `rsa` crate, an implementation that shares no line with OpenSSL.
//!
//! Whoever holds the private key can put any block under the signature, so the blocks here are made
//! by hand with the raw operation: the padding forgeries that got through elsewhere, and random
//! damage.

use minion::verify::{Algorithm, PublicKey, Signature};
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use proptest::prelude::*;
use rsa::Pkcs1v15Sign;
use rsa::pkcs8::DecodePublicKey;
use sha1::{Digest, Sha1};
use sha2::Sha224;

use crate::vectors::VECTORS;

/// A public key in both libraries' forms.
struct Both {
    ours: PublicKey,
    theirs: rsa::RsaPublicKey,
}

/// A software key pair.
struct Pair {
    private: Rsa<Private>,
    public: Both,
}

impl Pair {
    fn generate(bits: u32) -> Self {
        let private = Rsa::generate(bits).unwrap();
        let pem = String::from_utf8(private.public_key_to_pem().unwrap()).unwrap();
        Self {
            public: Both::parse(&pem),
            private,
        }
    }

    fn size(&self) -> usize {
        self.private.size() as usize
    }

    /// The raw private operation over a whole block.
    fn raw(&self, block: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.size()];
        let written = self
            .private
            .private_encrypt(block, &mut signature, Padding::NONE)
            .unwrap();
        assert_eq!(written, signature.len());
        signature
    }

    fn verdict(&self, algorithm: Algorithm, master: &PublicKey, signature: &[u8]) -> bool {
        self.public.verdict(algorithm, master, signature)
    }
}

impl Both {
    fn parse(pem: &str) -> Self {
        Self {
            ours: PublicKey::parse(pem.as_bytes()).unwrap(),
            theirs: rsa::RsaPublicKey::from_public_key_pem(pem).unwrap(),
        }
    }

    /// Both verdicts, which must be the same one.
    fn verdict(&self, algorithm: Algorithm, master: &PublicKey, signature: &[u8]) -> bool {
        let ours = self
            .ours
            .verify(algorithm, master, &Signature::new(signature.to_vec()))
            .is_ok();
        let message = master.canonical().as_bytes();
        let theirs = match algorithm {
            Algorithm::Sha1 => {
                let scheme = Pkcs1v15Sign::new::<Sha1>();
                self.theirs
                    .verify(scheme, &Sha1::digest(message), signature)
            }
            Algorithm::Sha224 => {
                let scheme = Pkcs1v15Sign::new::<Sha224>();
                self.theirs
                    .verify(scheme, &Sha224::digest(message), signature)
            }
        };
        assert_eq!(ours, theirs.is_ok(), "{algorithm} {}", hex(signature));
        ours
    }
}

fn master() -> PublicKey {
    PublicKey::parse(VECTORS[0].master.as_bytes()).unwrap()
}

/// `00 01 FF… 00` and the digest info, as long as the modulus.
fn block(size: usize, info: &[u8]) -> Vec<u8> {
    let mut block = vec![0xff; size];
    block[0] = 0;
    block[1] = 1;
    let start = size - info.len();
    block[start - 1] = 0;
    block[start..].copy_from_slice(info);
    block
}

#[test]
fn good_signatures_of_every_size_are_accepted_by_both() {
    for bits in [2048, 3072, 4096] {
        let pair = Pair::generate(bits);
        for algorithm in Algorithm::ALL {
            let info = algorithm.digest_info(master().canonical().as_bytes());
            let signature = pair.raw(&block(pair.size(), &info));
            assert!(pair.verdict(algorithm, &master(), &signature));
        }
    }
}

#[test]
fn salt_s_own_signatures_are_accepted_by_both() {
    for vector in VECTORS {
        let signer = Both::parse(vector.master_sign);
        let master = PublicKey::parse(vector.master.as_bytes()).unwrap();
        let signature = Signature::from_file(vector.signature.as_bytes()).unwrap();
        assert!(signer.verdict(vector.algorithm, &master, signature.as_bytes()));
    }
}

#[test]
fn blocks_that_only_look_right_are_refused_by_both() {
    let pair = Pair::generate(2048);
    let size = pair.size();
    for algorithm in Algorithm::ALL {
        let info = algorithm.digest_info(master().canonical().as_bytes());
        let good = block(size, &info);
        let changed = |at: usize, byte: u8| {
            let mut block = good.clone();
            block[at] = byte;
            block
        };
        // The padding ends early and what follows the digest is free: Bleichenbacher's forgery of
        // 2006.
        let mut garbage = vec![0xff; size];
        garbage[..2].copy_from_slice(&[0, 1]);
        garbage[10] = 0;
        garbage[11..11 + info.len()].copy_from_slice(&info);
        // DigestInfo without the NULL parameters; its two outer lengths shrink by two.
        let mut without_null = info.clone();
        let null = info.len() - digest_length(algorithm) - 4;
        without_null.drain(null..null + 2);
        without_null[1] -= 2;
        without_null[3] -= 2;
        let mut trailing = info.clone();
        trailing.push(0);
        for (name, forged) in [
            ("garbage after the digest", garbage),
            ("no NULL", block(size, &without_null)),
            ("a byte after DigestInfo", block(size, &trailing)),
            (
                "the digest alone",
                block(size, &info[info.len() - digest_length(algorithm)..]),
            ),
            ("block type 2", changed(1, 2)),
            ("block type 0", changed(1, 0)),
            ("a hole in the padding", changed(20, 0xfe)),
            ("a zero in the padding", changed(20, 0)),
            ("no separator", changed(size - info.len() - 1, 0xff)),
            ("a wrong digest", changed(size - 1, good[size - 1] ^ 1)),
            ("nothing but padding", changed(2, 0)),
        ] {
            let signature = pair.raw(&forged);
            assert!(
                !pair.verdict(algorithm, &master(), &signature),
                "{algorithm}: {name}"
            );
        }
    }
}

#[test]
fn a_signature_that_is_not_below_the_modulus_is_refused_by_both() {
    let pair = Pair::generate(2048);
    let info = Algorithm::Sha1.digest_info(master().canonical().as_bytes());
    let signature = pair.raw(&block(pair.size(), &info));
    assert!(pair.verdict(Algorithm::Sha1, &master(), &signature));
    assert!(!pair.verdict(Algorithm::Sha1, &master(), &pair.public.ours.modulus()));
    assert!(!pair.verdict(Algorithm::Sha1, &master(), &[0xff; 256]));
    assert!(!pair.verdict(Algorithm::Sha1, &master(), &[0; 256]));
    let number = openssl::bn::BigNum::from_slice(&signature).unwrap();
    let modulus = pair.private.n();
    let mut sum = openssl::bn::BigNum::new().unwrap();
    sum.checked_add(&number, modulus).unwrap();
    // The same number modulo n. It has as many bytes for the smaller signatures only; both lengths
    // must fail.
    assert!(!pair.verdict(Algorithm::Sha1, &master(), &sum.to_vec()));
}

#[test]
fn random_damage_is_judged_alike() {
    let pair = Pair::generate(2048);
    let size = pair.size();
    let strategy = (
        proptest::sample::select(&Algorithm::ALL[..]),
        proptest::collection::vec((0..size, any::<u8>()), 0..4),
        proptest::collection::vec((0..size, any::<u8>()), 0..2),
        proptest::sample::select(&[0, 1, 2, 255, 256, 257][..]),
    );
    proptest!(ProptestConfig::with_cases(512), |((algorithm, in_block, in_signature, cut) in strategy)| {
        let info = algorithm.digest_info(master().canonical().as_bytes());
        let good = block(size, &info);
        let mut damaged = good.clone();
        for (at, byte) in in_block {
            damaged[at] = byte;
        }
        // The raw operation takes numbers below the modulus only.
        damaged[0] = 0;
        let mut signature = pair.raw(&damaged);
        let signed = signature.clone();
        for (at, byte) in in_signature {
            signature[at] = byte;
        }
        if cut > 2 {
            signature.resize(cut, 0);
        }
        let whole = damaged == good && signature == signed;
        prop_assert_eq!(pair.verdict(algorithm, &master(), &signature), whole);
    });
}

#[test]
fn random_bytes_are_judged_alike() {
    let pair = Pair::generate(2048);
    proptest!(|(signature in proptest::collection::vec(any::<u8>(), 0..300))| {
        for algorithm in Algorithm::ALL {
            prop_assert!(!pair.verdict(algorithm, &master(), &signature));
        }
    });
}

const fn digest_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha1 => 20,
        Algorithm::Sha224 => 28,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
