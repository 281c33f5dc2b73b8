//! What is known of a key on a token, and whether that is enough.
//!
//! An attribute that the module does not report is not the same as one that is well: some modules
//! leave out half of them, and cryptoki leaves out what they refuse. So each is an `Option`, and
//! the verdict counts a missing one as not proven. All of it is the module's word: proof would be
//! the vendor's attestation.

use std::fmt;

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use hsm_config::{KeyId, Strictness};
use minion::verify::PublicKey;

use super::error::Error;

/// A private RSA key that was found on a token.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Valid in the process that found it, until it logs out.
    pub(super) handle: ObjectHandle,
    /// Its `CKA_ID`.
    pub id: Option<KeyId>,
    /// Its `CKA_LABEL`, without control characters.
    pub label: String,
    /// The public half.
    pub public: PublicKey,
    /// What the module says of the private half.
    pub attributes: KeyAttributes,
}

impl SigningKey {
    /// Decides by the attributes whether the key may sign; what is merely suspicious is returned
    /// for the log.
    ///
    /// # Errors
    ///
    /// Fails if the key cannot be used at all, or if it may have been outside and
    /// `never_extractable` refuses that.
    pub fn admit(&self, never_extractable: Strictness) -> Result<Vec<String>, Error> {
        judge(self.public.bits(), &self.attributes, never_extractable)
            .map_err(|why| Error::KeyUnfit { why })
    }
}

/// The attributes of a private key, as far as the module reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyAttributes {
    /// `CKA_ALLOWED_MECHANISMS`; none if it is not reported or holds a mechanism that cryptoki
    /// does not know.
    pub allowed_mechanisms: Option<Vec<MechanismType>>,
    flags: Vec<(AttributeType, bool)>,
}

impl KeyAttributes {
    /// The boolean attributes that are read.
    pub const FLAGS: [AttributeType; 17] = [
        AttributeType::Token,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
        AttributeType::Local,
        AttributeType::Sign,
        AttributeType::SignRecover,
        AttributeType::Decrypt,
        AttributeType::Unwrap,
        AttributeType::Derive,
        AttributeType::Modifiable,
        AttributeType::Copyable,
        AttributeType::Destroyable,
        AttributeType::WrapWithTrusted,
        AttributeType::AlwaysAuthenticate,
    ];

    pub(super) fn new(read: &[Attribute], allowed_mechanisms: Option<Vec<MechanismType>>) -> Self {
        Self {
            allowed_mechanisms,
            flags: read.iter().filter_map(flag).collect(),
        }
    }

    /// One of [`Self::FLAGS`], if the module reports it.
    #[must_use]
    pub fn flag(&self, wanted: AttributeType) -> Option<bool> {
        self.flags
            .iter()
            .find(|(attribute, _)| *attribute == wanted)
            .map(|(_, value)| *value)
    }

    /// What the attributes say about where the key has been.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut why = Vec::new();
        if self.flag(AttributeType::Sign) == Some(false) {
            why.push("CKA_SIGN is false: the token will not sign with it".to_owned());
        }
        if self.flag(AttributeType::AlwaysAuthenticate) == Some(true) {
            why.push(
                "CKA_ALWAYS_AUTHENTICATE is true: the token wants the PIN again for every \
                 signature, so a \
                 service would have to present it thousands of times; generate a key without it"
                    .to_owned(),
            );
        }
        if !why.is_empty() {
            return Verdict::Refused { why };
        }
        let mut missing: Vec<String> = PROOF
            .iter()
            .filter_map(|&(attribute, wanted)| match self.flag(attribute) {
                Some(is) if is == wanted => None,
                Some(is) => Some(format!("{attribute} is {is}")),
                None => Some(format!("{attribute} is not reported")),
            })
            .collect();
        if self.flag(AttributeType::Local) == Some(false) {
            missing.push(format!("{} is false", AttributeType::Local));
        }
        if missing.is_empty() {
            Verdict::GeneratedInside
        } else {
            Verdict::NotProven { missing }
        }
    }
}

/// Whether a key was made in the token and stayed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each attribute that would tell otherwise says so.
    GeneratedInside,
    /// Copies may exist outside.
    NotProven {
        /// What is false or not reported.
        missing: Vec<String>,
    },
    /// It cannot serve as a signing key.
    Refused {
        /// Each reason.
        why: Vec<String>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GeneratedInside => f.write_str("generated inside, never left"),
            Self::NotProven { missing } => write!(
                f,
                "not proven, copies may exist outside: {}",
                missing.join(", ")
            ),
            Self::Refused { why } => write!(f, "unfit: {}", why.join("; ")),
        }
    }
}

/// What is doubtful, or why the key must not be used.
fn judge(
    bits: u32,
    attributes: &KeyAttributes,
    never_extractable: Strictness,
) -> Result<Vec<String>, Vec<String>> {
    if bits < LEAST_BITS {
        return Err(vec![format!(
            "it has {bits} bits, and at least {LEAST_BITS} are needed"
        )]);
    }
    match (attributes.verdict(), never_extractable) {
        (Verdict::Refused { why }, _) => Err(why),
        (Verdict::GeneratedInside, _) | (_, Strictness::Off) => Ok(Vec::new()),
        (Verdict::NotProven { missing }, Strictness::Warn) => Ok(missing),
        (Verdict::NotProven { missing }, Strictness::Refuse) => Err(missing),
    }
}

fn flag(attribute: &Attribute) -> Option<(AttributeType, bool)> {
    let value = match attribute {
        Attribute::Token(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Extractable(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Local(value)
        | Attribute::Sign(value)
        | Attribute::SignRecover(value)
        | Attribute::Decrypt(value)
        | Attribute::Unwrap(value)
        | Attribute::Derive(value)
        | Attribute::Modifiable(value)
        | Attribute::Copyable(value)
        | Attribute::Destroyable(value)
        | Attribute::WrapWithTrusted(value)
        | Attribute::AlwaysAuthenticate(value) => *value,
        _ => return None,
    };
    Some((attribute.attribute_type(), value))
}

/// Shorter keys have been factored, or soon will be.
const LEAST_BITS: u32 = 2048;

/// Together: made inside and never left. `CKA_LOCAL` counts where it is reported.
const PROOF: [(AttributeType, bool); 4] = [
    (AttributeType::Sensitive, true),
    (AttributeType::Extractable, false),
    (AttributeType::AlwaysSensitive, true),
    (AttributeType::NeverExtractable, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Vec<Attribute> {
        vec![
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysSensitive(true),
            Attribute::NeverExtractable(true),
            Attribute::Local(true),
            Attribute::Sign(true),
            Attribute::AlwaysAuthenticate(false),
        ]
    }

    fn verdict(read: &[Attribute]) -> Verdict {
        KeyAttributes::new(read, None).verdict()
    }

    #[test]
    fn a_key_whose_every_attribute_says_so_was_generated_inside() {
        assert_eq!(verdict(&sound()), Verdict::GeneratedInside);
    }

    #[test]
    fn each_attribute_that_is_missing_or_wrong_leaves_it_unproven() {
        for spoiled in 0..4 {
            let mut read = sound();
            read.remove(spoiled);
            let Verdict::NotProven { missing } = verdict(&read) else {
                panic!("attribute {spoiled} is missing");
            };
            assert!(missing[0].ends_with("is not reported"), "{missing:?}");
        }
        let mut read = sound();
        read[4] = Attribute::Local(false);
        let missing = vec!["CKA_LOCAL is false".to_owned()];
        assert_eq!(verdict(&read), Verdict::NotProven { missing });
    }

    #[test]
    fn a_module_that_reports_no_local_is_not_held_to_it() {
        let mut read = sound();
        read.remove(4);
        assert_eq!(verdict(&read), Verdict::GeneratedInside);
    }

    #[test]
    fn an_unproven_key_is_refused_warned_about_or_let_be() {
        let unproven = KeyAttributes::new(&[], None);
        let judge = |strictness| judge(2048, &unproven, strictness);
        assert!(judge(Strictness::Refuse).is_err());
        assert!(judge(Strictness::Warn).is_ok_and(|doubts| !doubts.is_empty()));
        assert_eq!(judge(Strictness::Off), Ok(Vec::new()));
    }

    #[test]
    fn no_strictness_admits_a_short_key_or_one_that_cannot_sign() {
        let sound_attributes = KeyAttributes::new(&sound(), None);
        let silent = KeyAttributes::new(&[Attribute::Sign(false)], None);
        for strictness in [Strictness::Refuse, Strictness::Warn, Strictness::Off] {
            assert!(judge(1024, &sound_attributes, strictness).is_err());
            assert!(judge(2048, &silent, strictness).is_err());
        }
        assert_eq!(
            judge(2048, &sound_attributes, Strictness::Refuse),
            Ok(Vec::new())
        );
    }

    #[test]
    fn a_key_that_wants_the_pin_each_time_is_refused_with_the_reason() {
        let mut read = sound();
        read[6] = Attribute::AlwaysAuthenticate(true);
        let Verdict::Refused { why } = verdict(&read) else {
            panic!("it must be refused");
        };
        assert!(why[0].contains("the PIN again for every signature"));
    }
}
