//! Moduli whose factors anybody finds.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any size do not overflow, nothing is divided by zero, and what is \
              subtracted is the smaller one"
)]

use num_bigint::BigUint;
use openssl::bn::{BigNum, BigNumContext};

use super::number::{Modulus, is_prime, power, primes};
use super::{ROUNDS, Refusal};

/// No prime below 752 divides the modulus; Boulder's bound.
pub(super) fn none_small(modulus: &Modulus) -> Result<(), Refusal> {
    match primes(SMALL).find(|&prime| modulus.remainder(prime) == 0) {
        Some(prime) => Err(Refusal::SmallFactor { prime }),
        None => Ok(()),
    }
}

/// The modulus is no power of a smaller number. It has no small factor, which bounds the power.
pub(super) fn no_power(modulus: &Modulus) -> Result<(), Refusal> {
    let bits = u32::try_from(modulus.value.bits()).unwrap_or(u32::MAX);
    let highest = bits.checked_div(SMALL.ilog2()).unwrap_or(0);
    let found = primes(highest.saturating_add(1))
        .filter(|&exponent| may_be_power(modulus, exponent))
        .find(|&exponent| modulus.value.nth_root(exponent).pow(exponent) == modulus.value);
    match found {
        Some(exponent) => Err(Refusal::Power { exponent }),
        None => Ok(()),
    }
}

/// Whether the modulus looks like a power of that prime exponent modulo some small primes, where
/// few numbers are one. It saves nearly every root.
fn may_be_power(modulus: &Modulus, exponent: u32) -> bool {
    let candidates = (1_u32..).map_while(|step| {
        let even = exponent.checked_mul(2)?.checked_mul(step)?;
        even.checked_add(1)
    });
    candidates
        .filter(|&prime| is_prime(prime))
        .take(WITNESSES)
        .all(|prime| {
            let order = prime.saturating_sub(1).checked_div(exponent).unwrap_or(0);
            power(modulus.remainder(prime), order, prime) <= 1
        })
}

/// Fermat's method does not find the factors: from the square root upwards, no square less the
/// modulus is a square.
pub(super) fn primes_apart(modulus: &Modulus) -> Result<(), Refusal> {
    let mut middle = modulus.value.sqrt();
    if &middle * &middle < modulus.value {
        middle += 1_u32;
    }
    let mut rest: BigUint = &middle * &middle - &modulus.value;
    for _ in 0..ROUNDS {
        if is_square(&rest) {
            return Err(Refusal::ClosePrimes);
        }
        rest += &middle << 1_u32;
        rest += 1_u32;
        middle += 1_u32;
    }
    Ok(())
}

fn is_square(number: &BigUint) -> bool {
    // Of the residues modulo 64 twelve are squares; most numbers need no root.
    let low = number.iter_u32_digits().next().unwrap_or(0) & 63;
    let may_be = SQUARES_MODULO_64.checked_shr(low).unwrap_or(0) & 1 == 1;
    may_be && {
        let root = number.sqrt();
        &root * &root == *number
    }
}

/// The modulus is not itself a prime.
pub(super) fn composite(modulus: &Modulus) -> Result<(), Refusal> {
    let is_prime = || -> Result<bool, openssl::error::ErrorStack> {
        let number = BigNum::from_slice(&modulus.value.to_bytes_be())?;
        number.is_prime_fasttest(1, &mut *BigNumContext::new()?, false)
    };
    // OpenSSL fails only without memory; a key that was not examined is not signed.
    match is_prime() {
        Ok(false) => Ok(()),
        Ok(true) | Err(_) => Err(Refusal::PrimeModulus),
    }
}

/// Prime factors below this are looked for.
const SMALL: u32 = 752;
/// A number that is no power passes one in `exponent`, so four let one in sixteen squares through
/// to a root.
const WITNESSES: usize = 4;
/// Bit `n` is set if `n` is a square modulo 64.
const SQUARES_MODULO_64: u64 = 0x0202_0212_0203_0213;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_policy::testing::next_prime;

    fn modulus(value: BigUint) -> Modulus {
        Modulus { value }
    }

    fn number(bytes: &[u8]) -> BigUint {
        BigUint::from_bytes_be(bytes)
    }

    fn prime(bits: i32) -> BigUint {
        let mut prime = BigNum::new().unwrap();
        prime.generate_prime(bits, false, None, None).unwrap();
        number(&prime.to_vec())
    }

    #[test]
    fn the_squares_modulo_64_are_right() {
        let squares = (0..64_u64).fold(0, |set, n| set | 1 << (n * n % 64));
        assert_eq!(SQUARES_MODULO_64, squares, "{squares:#x}");
    }

    #[test]
    fn every_small_prime_is_found_and_the_next_one_is_not() {
        let large = prime(1024);
        for small in primes(SMALL) {
            assert_eq!(
                none_small(&modulus(&large * small)),
                Err(Refusal::SmallFactor { prime: small })
            );
        }
        assert_eq!(none_small(&modulus(&large * 757_u32)), Ok(()));
    }

    #[test]
    fn powers_are_found_whatever_the_exponent() {
        for (bits, exponent) in [(1024, 2), (683, 3), (410, 5), (187, 11), (12, 173)] {
            let value = prime(bits).pow(exponent);
            assert_eq!(no_power(&modulus(value)), Err(Refusal::Power { exponent }));
        }
        // The highest one is the least power of a prime that is not small.
        let highest = BigUint::from(757_u32).pow(227);
        assert_eq!(
            no_power(&modulus(highest)),
            Err(Refusal::Power { exponent: 227 })
        );
        assert_eq!(no_power(&modulus(prime(1024) * prime(1024))), Ok(()));
    }

    #[test]
    fn close_primes_are_found_in_the_last_round_and_not_after_it() {
        // p·q = m² − d² where m is in the middle of the two: the method starts at the square root
        // and needs a step for each unit between that and m, about d²/2m.
        let p = prime(1000);
        let (mut found, mut missed) = (false, false);
        for distance in 10_u32..18 {
            let q = next_prime(&(&p + (BigUint::from(distance) << 501_u32)));
            let value = &p * &q;
            let root = value.sqrt();
            let steps = (&p + &q) / 2_u32 - root - 1_u32;
            let close = steps < BigUint::from(ROUNDS);
            let verdict = primes_apart(&modulus(value));
            assert_eq!(verdict.is_err(), close, "{distance}: {steps} steps");
            (found, missed) = (found | close, missed | !close);
        }
        assert!(found && missed);
    }

    #[test]
    fn a_prime_modulus_is_found() {
        assert_eq!(composite(&modulus(prime(2048))), Err(Refusal::PrimeModulus));
        assert_eq!(composite(&modulus(prime(1024) * prime(1024))), Ok(()));
    }
}
