//! Making tokens and keys.
//!
//! What must hold (made inside, sensitive, not extractable) is in every template; what merely
//! should (no decryption, one mechanism, no copies) is refused by one module or another, and which
//! one is not known before it is tried. So the wishes are dropped, as few as it takes, and the
//! operator is told which: a smaller template that is tried first would give up on what most
//! modules accept.

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType};
use cryptoki::session::{Session, UserType};
use cryptoki::types::Ulong;
use cryptoki_sys::CK_ULONG;
use hsm_config::{KeyId, KeySelector, SignMechanism};
use minion::verify::Algorithm;
use secrecy::SecretString;

use super::error::Error;
use super::info::TokenInfo;
use super::input::mechanism_type;
use super::key::SigningKey;
use super::{Module, search};

/// The key to be made.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    /// Its `CKA_ID`, for both halves.
    pub id: KeyId,
    /// Its `CKA_LABEL`, for both halves.
    pub label: String,
    /// Its size in bits.
    pub bits: u32,
    /// What it will sign with; where the module accepts that, it can do nothing else.
    pub mechanism: SignMechanism,
    /// Whether it may leave the token under a wrapping key.
    pub custody: Custody,
    /// Wishes that are known to be refused, by name: `CKA_DECRYPT`.
    pub omit: Vec<String>,
}

/// Whether a key may leave its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// Never through PKCS#11. The vendor may clone it from device to device.
    Inside,
    /// Only encrypted under a key that the token's security officer has marked as trusted.
    Wrappable,
}

/// A key that was made.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Found again the way in which the service finds it.
    pub key: SigningKey,
    /// The wishes that the module refused, or that its profile says it refuses.
    pub dropped: Vec<AttributeType>,
}

impl Module {
    /// Turns an uninitialised slot into a token with this label, and sets the PIN of its user.
    ///
    /// # Errors
    ///
    /// Fails if there is a token already, here or elsewhere under this label, or if the module
    /// does.
    pub fn init_token(
        &self,
        slot: &TokenInfo,
        label: &str,
        so_pin: &SecretString,
        pin: &SecretString,
    ) -> Result<TokenInfo, Error> {
        let mut taken = self.tokens()?;
        taken
            .retain(|token| token.initialized && (token.slot == slot.slot || token.label == label));
        if !taken.is_empty() {
            return Err(Error::TokenExists {
                found: taken.iter().map(ToString::to_string).collect(),
            });
        }
        self.pkcs11.init_token(slot.slot, so_pin, label)?;
        let selector = hsm_config::TokenSelector {
            serial: None,
            label: Some(label.to_owned()),
        };
        let token = self.find(&selector)?;
        let session = self.open_write_session(&token)?;
        session.login_as(UserType::So, so_pin)?;
        session.inner().init_pin(pin)?;
        session.inner().logout()?;
        session.close()?;
        self.token_info(token.slot)
    }
}

/// Generates a key pair in the token.
pub(super) fn key_pair(session: &Session, plan: &KeyPlan) -> Result<Generated, Error> {
    let mut public = public_half(plan);
    public.push(Attribute::ModulusBits(Ulong::new(CK_ULONG::from(
        plan.bits,
    ))));
    public.push(Attribute::PublicExponent(vec![1, 0, 1]));
    with_as_many_wishes_as_possible(session, plan, |private| {
        let mechanism = Mechanism::RsaPkcsKeyPairGen;
        session.generate_key_pair(&mechanism, &public, private)?;
        Ok(())
    })
}

/// Makes a key pair by `make`, which is given the template of the private half, until the module
/// takes one; then finds it as the service does.
pub(super) fn with_as_many_wishes_as_possible(
    session: &Session,
    plan: &KeyPlan,
    make: impl Fn(&[Attribute]) -> Result<(), CryptokiError>,
) -> Result<Generated, Error> {
    let found = search::occupants(session, &plan.id, &plan.label)?;
    if !found.is_empty() {
        return Err(Error::KeyExists {
            wanted: format!("an object with id {} or label {:?}", plan.id, plan.label),
            found,
        });
    }
    let (known, wishes): (Vec<Attribute>, Vec<Attribute>) =
        wishes(plan.mechanism).into_iter().partition(|wish| {
            let name = wish.attribute_type().to_string();
            plan.omit.contains(&name)
        });
    let known: Vec<AttributeType> = known.iter().map(Attribute::attribute_type).collect();
    let mut refusal = None;
    for left_out in attempts(wishes.len()) {
        let kept = |(i, wish): (usize, &Attribute)| (!left_out.contains(&i)).then(|| wish.clone());
        let private: Vec<Attribute> = demands(plan)
            .into_iter()
            .chain(wishes.iter().enumerate().filter_map(kept))
            .collect();
        match make(&private) {
            Ok(()) => {
                let selector = KeySelector {
                    id: plan.id.clone(),
                    label: None,
                };
                let refused = left_out.iter().filter_map(|i| wishes.get(*i));
                return Ok(Generated {
                    key: search::one(session, &selector)?,
                    dropped: known
                        .into_iter()
                        .chain(refused.map(Attribute::attribute_type))
                        .collect(),
                });
            }
            Err(error) => {
                let error = Error::from(error);
                if !remove_halves(session, &plan.id) {
                    return Err(Error::LeftBehind {
                        id: plan.id.clone(),
                        source: Box::new(error),
                    });
                }
                if !error.rv().is_some_and(is_about_the_template) {
                    return Err(error);
                }
                refusal.get_or_insert(error);
            }
        }
    }
    // `attempts` yields at least the full template, so there was a refusal.
    Err(refusal.unwrap_or(Error::Poisoned))
}

/// A module that refuses late may leave one half behind. The id was free before, so what has it is
/// ours. Says whether nothing has it any more.
pub(super) fn remove_halves(session: &Session, id: &KeyId) -> bool {
    let template = [Attribute::Id(id.as_bytes().to_vec())];
    for handle in session.find_objects(&template).unwrap_or_default() {
        // If that fails, the search below tells.
        let _ = session.destroy_object(handle);
    }
    session
        .find_objects(&template)
        .is_ok_and(|left| left.is_empty())
}

/// Which wishes to leave out, attempt by attempt: none, each alone, then more and more of them from
/// the first on.
fn attempts(wishes: usize) -> impl Iterator<Item = Vec<usize>> {
    let alone = (0..wishes).map(|i| vec![i]);
    let together = (2..=wishes).map(|count| (0..count).collect());
    std::iter::once(Vec::new()).chain(alone).chain(together)
}

/// What the public half is, whatever its numbers.
pub(super) fn public_half(plan: &KeyPlan) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Id(plan.id.as_bytes().to_vec()),
        Attribute::Label(plan.label.as_bytes().to_vec()),
    ]
}

/// What the private half must be. Size and exponent stand in the public template alone, or
/// `CloudHSM` refuses them.
fn demands(plan: &KeyPlan) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        // Said outright: left out, it is true in NSS and openCryptoki.
        Attribute::Extractable(plan.custody == Custody::Wrappable),
        Attribute::Sign(true),
        Attribute::Id(plan.id.as_bytes().to_vec()),
        Attribute::Label(plan.label.as_bytes().to_vec()),
    ];
    if plan.custody == Custody::Wrappable {
        template.push(Attribute::WrapWithTrusted(true));
    }
    template
}

/// What the private half should be, in the order in which modules are likely to refuse it.
/// `CKA_DESTROYABLE` is not among it: a key that can never be deleted can never be retired.
fn wishes(mechanism: SignMechanism) -> Vec<Attribute> {
    let mut mechanisms: Vec<MechanismType> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| mechanism_type(mechanism, algorithm))
        .collect();
    mechanisms.dedup();
    vec![
        Attribute::AllowedMechanisms(mechanisms),
        Attribute::Copyable(false),
        Attribute::Decrypt(false),
        Attribute::Modifiable(false),
        Attribute::Unwrap(false),
        Attribute::SignRecover(false),
        Attribute::Derive(false),
    ]
}

/// How modules refuse an attribute; two of them say no more than that something failed.
const fn is_about_the_template(rv: RvError) -> bool {
    matches!(
        rv,
        RvError::AttributeReadOnly
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::FunctionFailed
            | RvError::GeneralError
            | RvError::TemplateInconsistent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(custody: Custody) -> KeyPlan {
        KeyPlan {
            id: KeyId::new([1]).unwrap(),
            label: "master_sign".to_owned(),
            bits: 2048,
            mechanism: SignMechanism::Raw,
            custody,
            omit: Vec::new(),
        }
    }

    #[test]
    fn as_few_wishes_as_possible_are_given_up() {
        let all: Vec<Vec<usize>> = attempts(3).collect();
        let expected: [&[usize]; 6] = [&[], &[0], &[1], &[2], &[0, 1], &[0, 1, 2]];
        assert_eq!(all, expected);
        assert_eq!(attempts(0).count(), 1);
    }

    #[test]
    fn a_key_leaves_the_token_only_if_asked_for_and_then_only_under_a_trusted_key() {
        assert!(demands(&plan(Custody::Inside)).contains(&Attribute::Extractable(false)));
        let wrappable = demands(&plan(Custody::Wrappable));
        assert!(wrappable.contains(&Attribute::Extractable(true)));
        assert!(wrappable.contains(&Attribute::WrapWithTrusted(true)));
    }

    #[test]
    fn the_raw_rsa_operation_is_never_among_the_allowed_mechanisms() {
        for mechanism in [SignMechanism::Raw, SignMechanism::Hashed] {
            let wishes = wishes(mechanism);
            let Attribute::AllowedMechanisms(allowed) = &wishes[0] else {
                panic!("they come first");
            };
            assert!(!allowed.is_empty() && !allowed.contains(&MechanismType::RSA_X_509));
        }
    }
}
