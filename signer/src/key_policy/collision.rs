//! The rule about SHA-1: the bytes to be signed are not half of a known kind of collision.
//!
//! No published collision fits into a canonical key, because its blocks need bytes outside base64.
//! That argues from what nobody has shown yet; the check costs three microseconds.

use minion::verify::PublicKey;
use sha1_checked::Sha1;

use super::Refusal;

/// Hashing the signed bytes shows no trace of a collision attack.
pub(super) fn none(key: &PublicKey) -> Result<(), Refusal> {
    if is_prepared(key.canonical().as_bytes()) {
        Err(Refusal::Collision)
    } else {
        Ok(())
    }
}

fn is_prepared(signed: &[u8]) -> bool {
    Sha1::try_digest(signed).has_collision()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both halves of a collision with a common prefix and of one with chosen prefixes.
    #[test]
    fn every_published_collision_is_noticed() {
        for (one, other) in PUBLISHED {
            assert_ne!(one, other);
            assert_eq!(plain(one), plain(other));
            assert!(is_prepared(one) && is_prepared(other));
            // Behind more text they still collide, and are still noticed.
            let longer = [*one, PEM].concat();
            assert!(is_prepared(&longer));
        }
    }

    #[test]
    fn what_only_resembles_a_collision_is_not_one() {
        assert!(!is_prepared(PEM));
        for (one, other) in PUBLISHED {
            for half in [one, other] {
                let (prefix, _) = half.split_at(half.len() - 128);
                assert!(!is_prepared(prefix));
                let mut damaged = half.to_vec();
                *damaged.last_mut().unwrap() ^= 0x10;
                assert!(!is_prepared(&damaged));
            }
        }
    }

    /// SHA-1 by a library that does not look.
    fn plain(bytes: &[u8]) -> [u8; 20] {
        openssl::sha::sha1(bytes)
    }

    const PEM: &[u8] = include_bytes!("../../../minion/tests/vectors/fingerprints/master.pub");

    /// `tests/vectors/sha1-collisions`.
    const PUBLISHED: &[(&[u8], &[u8])] = &[
        (
            include_bytes!("../../tests/vectors/sha1-collisions/shattered-1.bin"),
            include_bytes!("../../tests/vectors/sha1-collisions/shattered-2.bin"),
        ),
        (
            include_bytes!("../../tests/vectors/sha1-collisions/sha-mbles-1.bin"),
            include_bytes!("../../tests/vectors/sha1-collisions/sha-mbles-2.bin"),
        ),
    ];
}
