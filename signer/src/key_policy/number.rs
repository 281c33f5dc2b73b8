//! A modulus as a number, and the little arithmetic that several rules share.
//!
//! Moduli are public: nothing here has to take the same time for every input.

use minion::verify::PublicKey;
use num_bigint::BigUint;

/// The modulus of a key.
#[derive(Debug)]
pub(super) struct Modulus {
    pub(super) value: BigUint,
}

impl Modulus {
    pub(super) fn of(key: &PublicKey) -> Self {
        Self {
            value: BigUint::from_bytes_be(&key.modulus()),
        }
    }

    /// What is left when it is divided by a small number.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "no caller divides by zero: they divide by primes"
    )]
    pub(super) fn remainder(&self, divisor: u32) -> u32 {
        // The remainder is smaller than the divisor, so it fits.
        u32::try_from(&self.value % divisor).unwrap_or(u32::MAX)
    }
}

/// The primes below `bound`, in order.
pub(super) fn primes(bound: u32) -> impl Iterator<Item = u32> {
    (2..bound).filter(|&number| is_prime(number))
}

/// By trial division; for numbers of a few digits.
pub(super) fn is_prime(number: u32) -> bool {
    number > 1
        && (2..=number.isqrt()).all(|divisor| number.checked_rem(divisor).is_some_and(|r| r != 0))
}

/// `base` to the power of `exponent`, modulo `modulus`.
pub(super) fn power(base: u32, exponent: u32, modulus: u32) -> u32 {
    let reduce = |number: u64| number.checked_rem(u64::from(modulus)).unwrap_or(0);
    let (mut result, mut square) = (reduce(1), reduce(u64::from(base)));
    let mut left = exponent;
    while left > 0 {
        if left & 1 == 1 {
            result = reduce(result.saturating_mul(square));
        }
        square = reduce(square.saturating_mul(square));
        left >>= 1;
    }
    // Both factors were below 2³², so nothing was saturated and the result is below `modulus`.
    u32::try_from(result).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primes_are_the_primes() {
        assert_eq!(
            primes(30).collect::<Vec<_>>(),
            [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
        );
        assert_eq!(primes(752).count(), 133);
    }

    #[test]
    fn powers_are_those_of_the_naive_product() {
        for modulus in [2, 7, 97, 751] {
            let mut naive = 1 % modulus;
            for exponent in 0..40 {
                assert_eq!(power(65537, exponent, modulus), naive);
                naive = naive * (65537 % modulus) % modulus;
            }
        }
    }
}
