//! Which keys are fit to be signed, whoever presents them.
//!
//! A key is judged by its numbers and by the exact bytes that would be signed, never by who sends
//! it: a bad key of a trusted master is as bad for the minions as a stranger's. The form comes
//! first and belongs to [`minion::verify::PublicKey`]; what is left are rules, each a function of
//! its own.
//!
//! There are two sets of them. [`RULES`] take microseconds and are asked everywhere, also by the
//! HSM worker. [`WEAKNESSES`] and [`shared_factor`] are arithmetic that takes milliseconds; the
//! service asks them once per key, on a thread of their own. The list is Boulder's (`goodkey`) with
//! prime and power moduli added.

mod collision;
mod factor;
mod known;
mod number;
mod numbers;
mod roca;
mod shared;
#[cfg(test)]
pub(crate) mod testing;

use minion::verify::{KeyError, KeyHash, PublicKey};

use number::Modulus;
pub use shared::shared_factor;

/// Reads a presented key and applies every rule to it.
///
/// `signing_keys` are the keys that sign; none of them is ever signed, because whoever could show
/// such a signature would have made a signing key into a master's key.
///
/// # Errors
///
/// Says what is wrong with the key. None is worth a retry with the same key.
pub fn admit<'a>(
    text: &[u8],
    signing_keys: impl IntoIterator<Item = &'a PublicKey>,
) -> Result<PublicKey, Refusal> {
    let key = PublicKey::parse(text)?;
    check(&key, signing_keys)?;
    Ok(key)
}

/// Applies every rule to a key that was read before.
///
/// # Errors
///
/// As [`admit`], except for the form.
pub fn check<'a>(
    key: &PublicKey,
    signing_keys: impl IntoIterator<Item = &'a PublicKey>,
) -> Result<(), Refusal> {
    RULES.iter().try_for_each(|Rule(rule)| rule(key))?;
    differs(key, signing_keys)
}

/// Applies the one rule that may come to apply to a key that passed the others.
///
/// # Errors
///
/// If the key signs itself.
pub fn differs<'a>(
    key: &PublicKey,
    signing_keys: impl IntoIterator<Item = &'a PublicKey>,
) -> Result<(), Refusal> {
    let modulus = key.modulus();
    match signing_keys
        .into_iter()
        .find(|signing| signing.modulus() == modulus)
    {
        Some(signing) => Err(Refusal::SigningKey {
            kid: signing.hash(),
        }),
        None => Ok(()),
    }
}

/// Looks for the ways in which a key is known to be weak by itself. Takes some milliseconds.
///
/// # Errors
///
/// Says which weakness was found. None is worth a retry with the same key.
pub fn examine(key: &PublicKey) -> Result<(), Refusal> {
    let modulus = Modulus::of(key);
    WEAKNESSES
        .iter()
        .try_for_each(|Weakness(rule)| rule(&modulus))
}

/// Why a key is not signed: what was found, why that matters, and what to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not of a size that Salt and HSMs agree on.
    #[error(
        "the modulus has {bits} bits; 2048, 3072 and 4096 are signed: shorter ones can be broken, \
         odd ones come from broken generators. Set the master's keysize and make a new key with \
         `salt-key --gen-keys=master`"
    )]
    Bits {
        /// The exact length of the modulus.
        bits: u32,
    },
    /// Two primes so close together that they are found from the middle.
    #[error(
        "the modulus is a product of two primes so close together that Fermat's method finds them \
         within {ROUNDS} steps, so anybody can compute the private key. Its generator is broken: \
         make a new key with `salt-key --gen-keys=master` on another system, and replace every \
         key that came from this one"
    )]
    ClosePrimes,
    /// The bytes to be signed are half of a SHA-1 collision.
    #[error(
        "the text of the key was prepared for a SHA-1 collision: another text could carry the \
         same signature. Make a new key on the master, and find out where this one came from"
    )]
    Collision,
    /// A modulus that is no product of two odd primes.
    #[error(
        "the modulus is even, so it is no product of two large primes and anybody can compute the \
         private key. Make a new key with `salt-key --gen-keys=master`"
    )]
    EvenModulus,
    /// Another public exponent than everybody's.
    #[error(
        "the public exponent is not 65537, which Salt and OpenSSL always use; small ones make \
         forgeries easier. Make a new key with `salt-key --gen-keys=master`"
    )]
    Exponent,
    /// Not the one spelling of an RSA public key.
    #[error(transparent)]
    Form(#[from] KeyError),
    /// A key whose private half was published.
    #[error(
        "this key is {origin}: its private half is public. Make a new key with \
         `salt-key --gen-keys=master`"
    )]
    Known {
        /// Where it was published.
        origin: &'static str,
    },
    /// A modulus that is a number to a power.
    #[error(
        "the modulus is a number to the power of {exponent}, so anybody can compute the private \
         key. Make a new key with `salt-key --gen-keys=master`"
    )]
    Power {
        /// Which power.
        exponent: u32,
    },
    /// A modulus that is itself a prime.
    #[error(
        "the modulus is itself a prime and no product of two, so anybody can compute the private \
         key. Make a new key with `salt-key --gen-keys=master`"
    )]
    PrimeModulus,
    /// Made by the library with the ROCA weakness.
    #[error(
        "the modulus has the fingerprint of the Infineon library (ROCA, CVE-2017-15361), whose \
         keys can be factored. Make a new key in software with `salt-key --gen-keys=master`, or \
         update the device that made this one"
    )]
    Roca,
    /// Another known key has one of the same primes.
    #[error(
        "the modulus has a prime in common with another key that is known here, so both private \
         keys can be computed. Both came from a generator without enough randomness: make a new \
         key with `salt-key --gen-keys=master` when the system has been up for a while, and tell \
         the operator of this service, whose log names the other key"
    )]
    SharedFactor,
    /// The key that signs.
    #[error(
        "this is the signing key {kid} itself; a master has a key of its own. Present the \
         master's master.pub, not master_sign.pub"
    )]
    SigningKey {
        /// The signing key.
        kid: KeyHash,
    },
    /// A modulus that a small prime divides.
    #[error(
        "the modulus is divisible by {prime}, so it is no product of two large primes. Make a new \
         key with `salt-key --gen-keys=master`"
    )]
    SmallFactor {
        /// The smallest one found.
        prime: u32,
    },
}

impl Refusal {
    /// One word for it, for programs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bits { .. } => "bits",
            Self::ClosePrimes => "close-primes",
            Self::Collision => "collision",
            Self::EvenModulus => "even-modulus",
            Self::Exponent => "exponent",
            Self::Form(KeyError::PrivateKey) => "private-key",
            Self::Form(_) => "form",
            Self::Known { .. } => "known-key",
            Self::Power { .. } => "power",
            Self::PrimeModulus => "prime-modulus",
            Self::Roca => "roca",
            Self::SharedFactor => "shared-factor",
            Self::SigningKey { .. } => "signing-key",
            Self::SmallFactor { .. } => "small-factor",
        }
    }
}

/// Rules about a key by itself, cheapest first.
const RULES: [Rule; 5] = [
    Rule(numbers::bits),
    Rule(numbers::exponent),
    Rule(numbers::odd_modulus),
    Rule(collision::none),
    Rule(known::unpublished),
];

/// Passes a key, or says what is wrong with it.
struct Rule(fn(&PublicKey) -> Result<(), Refusal>);

/// Rules that need arithmetic; the later ones rely on the earlier ones.
const WEAKNESSES: [Weakness; 5] = [
    Weakness(factor::none_small),
    Weakness(roca::no_fingerprint),
    Weakness(factor::no_power),
    Weakness(factor::primes_apart),
    Weakness(factor::composite),
];

/// Passes a modulus, or says what is wrong with it.
struct Weakness(fn(&Modulus) -> Result<(), Refusal>);

/// Steps of Fermat's method; Boulder takes 110, and its floor is 100.
const ROUNDS: u32 = 110;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::MasterKey;

    #[test]
    fn ordinary_keys_of_all_three_sizes_are_admitted() {
        for bits in [2048, 3072, 4096] {
            let key = MasterKey::with_bits(bits).public;
            assert_eq!(admit(key.canonical().as_bytes(), []), Ok((*key).clone()));
            assert_eq!(admit(key.to_file().as_bytes(), []), Ok((*key).clone()));
        }
    }

    /// No key is known that would show it: the blocks of the known collisions are not in base64.
    #[test]
    fn what_is_signed_was_searched_for_a_collision() {
        let rule: fn(&PublicKey) -> Result<(), Refusal> = collision::none;
        let mut rules = RULES.iter();
        assert!(rules.any(|Rule(known)| std::ptr::fn_addr_eq(*known, rule)));
    }

    #[test]
    fn the_signing_key_is_never_signed() {
        let (signing, master) = (MasterKey::generate().public, MasterKey::generate().public);
        let kid = signing.hash();
        let text = signing.to_file();
        assert_eq!(
            admit(text.as_bytes(), [&*master, &*signing]),
            Err(Refusal::SigningKey { kid }),
        );
        assert_eq!(check(&master, [&*signing]), Ok(()));
    }

    #[test]
    fn another_spelling_of_a_good_key_is_refused() {
        let text = MasterKey::generate().public.to_file();
        for spelled in [
            text.replace('\n', "\r\n"),
            format!("{text}\n"),
            format!(" {text}"),
            text.replacen("-----\n", "-----\n\n", 1),
        ] {
            assert!(matches!(
                admit(spelled.as_bytes(), []),
                Err(Refusal::Form(_))
            ));
        }
    }

    #[test]
    fn a_private_key_is_refused_by_name_and_not_repeated() {
        let private = MasterKey::generate()
            .private
            .private_key_to_pem_pkcs8()
            .unwrap();
        let refusal = admit(&private, []).unwrap_err();
        assert_eq!(refusal, Refusal::Form(KeyError::PrivateKey));
        let body = std::str::from_utf8(&private)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap();
        assert!(!format!("{refusal} {refusal:?}").contains(body));
    }
}
