//! Keys that are weak in a chosen way, with their private halves, for the tests of this crate.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any size do not overflow"
)]

use std::sync::Arc;

use minion::verify::PublicKey;
use num_bigint::BigUint;
use openssl::bn::{BigNum, BigNumContext};
use openssl::pkey::PKey;
use openssl::rsa::RsaPrivateKeyBuilder;

use super::number;
use crate::authorize::testing::MasterKey;

/// Different primes of that many bits, the two highest of which are set.
pub(crate) fn primes<const N: usize>(bits: i32) -> [BigUint; N] {
    std::array::from_fn(|_| {
        let mut prime = BigNum::new().unwrap();
        prime.generate_prime(bits, false, None, None).unwrap();
        BigUint::from_bytes_be(&prime.to_vec())
    })
}

/// A prime of 1024 bits as the Infineon library makes them, another one for each `a`.
pub(crate) fn roca_prime(a: u32) -> BigUint {
    // For keys of 2048 bits: the product of the first 126 primes, which has 971 bits.
    let product: BigUint = number::primes(702).map(BigUint::from).product();
    let offset = BigUint::from(65537_u32).modpow(&BigUint::from(a), &product);
    let highest = (BigUint::from(1_u32) << 1024_u32) - 1_u32;
    let mut candidate = &highest - &highest % &product + &offset;
    if candidate > highest {
        candidate -= &product;
    }
    while !is_prime(&candidate) {
        candidate -= &product;
    }
    candidate
}

/// The first prime from there upwards.
pub(crate) fn next_prime(number: &BigUint) -> BigUint {
    let mut candidate = number | BigUint::from(1_u32);
    while !is_prime(&candidate) {
        candidate += 2_u32;
    }
    candidate
}

/// The key pair with the modulus `p · q`, where both are prime.
pub(crate) fn pair(p: &BigUint, q: &BigUint) -> MasterKey {
    let one = BigUint::from(1_u32);
    of_modulus(&(p * q), &((p - &one) * (q - &one)))
}

/// The key pair with that modulus, which has `totient` smaller numbers prime to it.
pub(crate) fn of_modulus(modulus: &BigUint, totient: &BigUint) -> MasterKey {
    let big = |number: &BigUint| BigNum::from_slice(&number.to_bytes_be()).unwrap();
    let exponent = BigNum::from_u32(65537).unwrap();
    let (mut private, mut context) = (BigNum::new().unwrap(), BigNumContext::new().unwrap());
    private
        .mod_inverse(&exponent, &big(totient), &mut context)
        .unwrap();
    let rsa = RsaPrivateKeyBuilder::new(big(modulus), exponent, private).unwrap();
    let public = PublicKey::from_components(&modulus.to_bytes_be(), &[1, 0, 1]).unwrap();
    MasterKey {
        private: PKey::from_rsa(rsa.build()).unwrap(),
        public: Arc::new(public),
    }
}

fn is_prime(number: &BigUint) -> bool {
    let number = BigNum::from_slice(&number.to_bytes_be()).unwrap();
    let mut context = BigNumContext::new().unwrap();
    number.is_prime_fasttest(1, &mut context, true).unwrap()
}

/// The public half of testRSA2048.
pub(crate) const RFC_9500: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsPnoGUOnrpiSqt4XynxA\n\
    +HRP7S+BSObI6qJ7fQAVSPtRkqsotWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTf\n\
    Mul8b/CZjP2Ob0LdpYrNH6l5hvFE89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92\n\
    UE68mOyUVXGweJIVDdxqdMoPvNNUl86BU02vlBiESxOuox+dWmuVV7vfYZ79Toh/\n\
    LUK43YvJh+rhv4nKuF7iHjVjBd9sB6iDjj70HFldzOQ9r8SRI+9NirupPTkF5AKN\n\
    e6kUhKJ1luB7S27ZkvB3tSTT3P593VVJvnzOjaA1z6Cz+4+eRvcysqhrRgFlwI9T\n\
    EwIDAQAB\n\
    -----END PUBLIC KEY-----";
