//! Keys of the Infineon library that the ROCA attack factors (CVE-2017-15361).
//!
//! Its primes are `k·M + (65537^a mod M)`, where `M` is the product of the first primes, so modulo
//! each of these primes the modulus is a power of 65537. An ordinary modulus is one modulo all of
//! the first 39 by chance less than once in 2²⁷ keys. Nemec et al., "The Return of Coppersmith's
//! Attack", CCS 2017, section 3.

use super::Refusal;
use super::number::{Modulus, primes};

/// The modulus is not a power of 65537 modulo every one of the first primes.
pub(super) fn no_fingerprint(modulus: &Modulus) -> Result<(), Refusal> {
    if primes(BOUND).all(|prime| is_power(modulus.remainder(prime), prime)) {
        Err(Refusal::Roca)
    } else {
        Ok(())
    }
}

/// Whether a number is a power of 65537 modulo a prime.
fn is_power(number: u32, prime: u32) -> bool {
    let reduce = |number: u32| number.checked_rem(prime).unwrap_or(0);
    let generator = reduce(GENERATOR);
    let mut power = reduce(1);
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = reduce(power.saturating_mul(generator));
    }
    false
}

const GENERATOR: u32 = 65537;
/// 167 is the largest prime in `M` for the shortest keys of that library; longer keys have more.
const BOUND: u32 = 168;

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::key_policy::testing;

    #[test]
    fn a_modulus_of_the_librarys_form_is_found() {
        let value = testing::roca_prime(1) * testing::roca_prime(2);
        assert_eq!(value.bits(), 2048);
        assert_eq!(no_fingerprint(&Modulus { value }), Err(Refusal::Roca));
    }

    #[test]
    fn one_foreign_prime_is_enough_to_pass() {
        let foreign = BigUint::from_bytes_be(&[0xa5; 127]) | BigUint::from(1_u32);
        let value = testing::roca_prime(1) * foreign;
        assert_eq!(no_fingerprint(&Modulus { value }), Ok(()));
    }

    #[test]
    fn ordinary_keys_match_rarely() {
        let share = |prime: u32| {
            let powers = (0..prime).filter(|&number| is_power(number, prime)).count();
            f64::from(u32::try_from(powers).unwrap()) / f64::from(prime - 1).max(1.0)
        };
        let chance: f64 = primes(BOUND).map(share).product();
        assert!(chance < 2_f64.powi(-27), "2^{}", chance.log2());
    }
}
