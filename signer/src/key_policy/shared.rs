//! Two keys with one prime in common: whoever has both public keys has both private ones.
//!
//! That happens to keys that were made by the same image right after its first start. The product
//! of all known moduli, reduced by the new one as it grows, tells with one greatest common divisor;
//! a product tree would do so for all pairs at once, but keys come one by one, and each was
//! compared with those before it.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any size do not overflow, nothing is divided by zero, and what is \
              subtracted is the smaller one"
)]

use std::sync::Arc;

use minion::verify::{KeyHash, PublicKey};
use num_bigint::BigUint;
use num_integer::Integer;

use super::number::Modulus;

/// A known key that has a prime in common with `key`, which itself does not count. Takes about five
/// microseconds for each known key of 2048 bits.
#[must_use]
pub fn shared_factor(key: &PublicKey, known: &[Arc<PublicKey>]) -> Option<KeyHash> {
    let modulus = Modulus::of(key).value;
    let others = || known.iter().filter(|other| other.hash() != key.hash());
    let product = others().fold(BigUint::from(1_u32), |product, other| {
        product * Modulus::of(other).value % &modulus
    });
    let one = BigUint::from(1_u32);
    if modulus.gcd(&product) == one {
        return None;
    }
    others()
        .find(|other| modulus.gcd(&Modulus::of(other).value) != one)
        .map(|other| other.hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::MasterKey;
    use crate::key_policy::testing::{pair, primes};

    #[test]
    fn the_key_with_the_same_prime_is_named() {
        let [p, q, r] = primes(1024);
        let (one, two) = (pair(&p, &q).public, pair(&p, &r).public);
        let others: Vec<_> = (0..3).map(|_| MasterKey::generate().public).collect();
        let mut known: Vec<_> = others.iter().map(Arc::clone).collect();
        known.extend([Arc::clone(&one), Arc::clone(&two)]);
        assert_eq!(shared_factor(&two, &known), Some(one.hash()));
        assert_eq!(shared_factor(&one, &known), Some(two.hash()));
        assert_eq!(shared_factor(&others[0], &known), None);
        assert_eq!(shared_factor(&one, &[]), None);
    }

    #[test]
    fn a_key_whose_primes_are_both_known_is_found_too() {
        let [p, q, r] = primes(1024);
        let (one, two) = (pair(&p, &r).public, pair(&q, &r).public);
        let key = pair(&p, &q).public;
        let hash = one.hash();
        assert_eq!(shared_factor(&key, &[one, two]), Some(hash));
    }
}
