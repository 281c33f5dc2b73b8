//! Bringing a key that exists as a file into a token.
//!
//! `C_CreateObject` with all numbers of the key, the only way that modules have in common; most
//! real HSMs refuse it, at least in their FIPS mode, and their vendor's tool has to do it. What was
//! a file may have copies, and the token says so for ever: `CKA_ALWAYS_SENSITIVE`,
//! `CKA_NEVER_EXTRACTABLE` and `CKA_LOCAL` are false (PKCS#11 3.0, section 4.9).

use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::Session;
use openssl::bn::{BigNum, BigNumRef};
use openssl::pkey::Private;
use openssl::rsa::Rsa;

use super::error::Error;
use super::generate::{self, Generated, KeyPlan};

/// A private key with every number that PKCS#11 wants.
pub struct ImportedKey<'a> {
    rsa: &'a Rsa<Private>,
    numbers: [&'a BigNumRef; 5],
}

impl<'a> ImportedKey<'a> {
    /// None if the key is only a modulus and an exponent, without its primes.
    #[must_use]
    pub fn new(rsa: &'a Rsa<Private>) -> Option<Self> {
        Some(Self {
            numbers: [rsa.p()?, rsa.q()?, rsa.dmp1()?, rsa.dmq1()?, rsa.iqmp()?],
            rsa,
        })
    }

    fn secret(&self) -> Vec<Attribute> {
        let [p, q, dmp1, dmq1, iqmp] = self.numbers.map(BigNumRef::to_vec);
        vec![
            Attribute::PrivateExponent(self.rsa.d().to_vec()),
            Attribute::Prime1(p),
            Attribute::Prime2(q),
            Attribute::Exponent1(dmp1),
            Attribute::Exponent2(dmq1),
            Attribute::Coefficient(iqmp),
        ]
    }

    fn public(&self) -> Vec<Attribute> {
        vec![
            Attribute::Modulus(self.rsa.n().to_vec()),
            Attribute::PublicExponent(self.rsa.e().to_vec()),
        ]
    }
}

impl std::fmt::Debug for ImportedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImportedKey")
    }
}

/// Whether the numbers of a private key fit together: a file that was cut or edited makes a key
/// that signs, and signs wrongly.
///
/// # Errors
///
/// Fails if OpenSSL cannot compute.
pub fn is_consistent(rsa: &Rsa<Private>) -> Result<bool, openssl::error::ErrorStack> {
    let Some(ImportedKey { numbers, .. }) = ImportedKey::new(rsa) else {
        return Ok(false);
    };
    let [p, q, ..] = numbers;
    let mut context = openssl::bn::BigNumContext::new_secure()?;
    let mut product = BigNum::new_secure()?;
    product.checked_mul(p, q, &mut context)?;
    Ok(&*product == rsa.n() && rsa.check_key()?)
}

/// Creates both halves in the token.
pub(super) fn key_pair(
    session: &Session,
    key: &ImportedKey<'_>,
    plan: &KeyPlan,
) -> Result<Generated, Error> {
    let mut public = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
    ];
    public.extend(generate::public_half(plan));
    public.extend(key.public());
    generate::with_as_many_wishes_as_possible(session, plan, |demands_and_wishes| {
        let mut private = vec![
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::RSA),
        ];
        private.extend_from_slice(demands_and_wishes);
        private.extend(key.public());
        private.extend(key.secret());
        session.create_object(&private)?;
        session.create_object(&public)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_whose_primes_do_not_make_its_modulus_is_noticed() {
        let good = Rsa::generate(2048).unwrap();
        assert!(is_consistent(&good).unwrap());
        let other = Rsa::generate(2048).unwrap();
        let bn = |number: &BigNumRef| number.to_owned().unwrap();
        let spoiled = Rsa::from_private_components(
            bn(good.n()),
            bn(good.e()),
            bn(good.d()),
            bn(other.p().unwrap()),
            bn(other.q().unwrap()),
            bn(other.dmp1().unwrap()),
            bn(other.dmq1().unwrap()),
            bn(other.iqmp().unwrap()),
        )
        .unwrap();
        assert!(!is_consistent(&spoiled).unwrap_or(false));
    }

    #[test]
    fn a_key_on_its_way_shows_nothing() {
        let rsa = Rsa::generate(2048).unwrap();
        let key = ImportedKey::new(&rsa).unwrap();
        assert_eq!(format!("{key:?}"), "ImportedKey");
    }
}
