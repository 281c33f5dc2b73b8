//! Which keys are fit to be signed, whoever presents them.
//!
//! A key is judged by its numbers and by the exact bytes that would be signed, never by who sends
//! it: a bad key of a trusted master is as bad for the minions as a stranger's. The form comes
//! first and belongs to [`minion::verify::PublicKey`]; what is left are rules, each a function of
//! its own, tried in the order of [`RULES`].

mod collision;
mod numbers;

use minion::verify::{KeyError, KeyHash, PublicKey};

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
    /// The key that signs.
    #[error(
        "this is the signing key {kid} itself; a master has a key of its own. Present the \
         master's master.pub, not master_sign.pub"
    )]
    SigningKey {
        /// The signing key.
        kid: KeyHash,
    },
}

/// Rules about a key by itself, cheapest first.
const RULES: [Rule; 4] = [
    Rule(numbers::bits),
    Rule(numbers::exponent),
    Rule(numbers::odd_modulus),
    Rule(collision::none),
];

/// Passes a key, or says what is wrong with it.
struct Rule(fn(&PublicKey) -> Result<(), Refusal>);

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
