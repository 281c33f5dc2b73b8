//! Rules about the modulus and the exponent.

use minion::verify::PublicKey;

use super::Refusal;

/// The modulus has exactly one of the three usual lengths.
pub(super) fn bits(key: &PublicKey) -> Result<(), Refusal> {
    match key.bits() {
        2048 | 3072 | 4096 => Ok(()),
        bits => Err(Refusal::Bits { bits }),
    }
}

/// The public exponent is 65537.
pub(super) fn exponent(key: &PublicKey) -> Result<(), Refusal> {
    if key.exponent() == [0x01, 0x00, 0x01] {
        Ok(())
    } else {
        Err(Refusal::Exponent)
    }
}

/// The modulus is odd.
pub(super) fn odd_modulus(key: &PublicKey) -> Result<(), Refusal> {
    if key.modulus().last().is_some_and(|byte| byte & 1 == 1) {
        Ok(())
    } else {
        Err(Refusal::EvenModulus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(modulus: &[u8], exponent: &[u8]) -> PublicKey {
        PublicKey::from_components(modulus, exponent).unwrap()
    }

    fn modulus(first: u8, bytes: usize, last: u8) -> Vec<u8> {
        let mut modulus = vec![0x5a; bytes];
        modulus[0] = first;
        *modulus.last_mut().unwrap() = last;
        modulus
    }

    const E: &[u8] = &[1, 0, 1];

    #[test]
    fn a_length_that_is_off_by_one_bit_is_refused() {
        for (first, bytes, found) in [
            (0x7f, 256, 2047),
            (0x01, 257, 2049),
            (0x80, 128, 1024),
            (0x80, 1024, 8192),
            (0x80, 320, 2560),
        ] {
            let key = key(&modulus(first, bytes, 1), E);
            assert_eq!(bits(&key), Err(Refusal::Bits { bits: found }));
        }
        for bytes in [256, 384, 512] {
            assert_eq!(bits(&key(&modulus(0x80, bytes, 1), E)), Ok(()));
        }
    }

    #[test]
    fn any_other_exponent_is_refused() {
        for e in [
            &[1][..],
            &[3],
            &[17],
            &[1, 0, 0],
            &[1, 0, 1, 1],
            &[0xff; 256],
        ] {
            assert_eq!(
                exponent(&key(&modulus(0x80, 256, 1), e)),
                Err(Refusal::Exponent)
            );
        }
        assert_eq!(exponent(&key(&modulus(0x80, 256, 1), E)), Ok(()));
    }

    #[test]
    fn an_even_modulus_is_refused() {
        let even = key(&modulus(0x80, 256, 0x10), E);
        assert_eq!(odd_modulus(&even), Err(Refusal::EvenModulus));
        assert_eq!(odd_modulus(&key(&modulus(0x80, 256, 0x11), E)), Ok(()));
    }
}
