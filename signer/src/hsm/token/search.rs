//! Finding keys on a token.
//!
//! By `CKA_ID`, class and type, with the label as a second filter, and exactly one: tokens accept
//! any number of keys under one id, and the first that is found is nobody's choice. The public half
//! comes from the private object or from the public one, as either may lack it (cards keep no
//! public objects); where both have it they must agree.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use hsm_config::{KeyId, KeySelector};
use minion::verify::PublicKey;

use super::error::Error;
use super::info::clean;
use super::key::{KeyAttributes, SigningKey};

/// The one key that answers to the selector.
pub(super) fn one(session: &Session, selector: &KeySelector) -> Result<SigningKey, Error> {
    let mut found = candidates(session, Some(selector))?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => only.read(session),
        (Some(last), false) => {
            found.push(last);
            Err(Error::AmbiguousKey {
                wanted: describe(selector),
                found: found.iter().map(|key| key.line(session)).collect(),
            })
        }
        (None, _) => {
            let others = candidates(session, None)?;
            Err(Error::NoSuchKey {
                wanted: describe(selector),
                found: others.iter().map(|key| key.line(session)).collect(),
            })
        }
    }
}

/// Every private RSA key.
pub(super) fn all(session: &Session) -> Result<Vec<Result<SigningKey, Error>>, Error> {
    let found = candidates(session, None)?;
    Ok(found.into_iter().map(|key| key.read(session)).collect())
}

/// What is on the token with this id or this label, of any class; for refusing to make another.
pub(super) fn occupants(session: &Session, id: &KeyId, label: &str) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for wanted in [
        Attribute::Id(id.as_bytes().to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ] {
        for handle in session.find_objects(&[wanted])? {
            let line = Candidate::name(session, handle)?.line(session);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

struct Candidate {
    handle: ObjectHandle,
    id: Option<KeyId>,
    label: String,
}

impl Candidate {
    fn name(session: &Session, handle: ObjectHandle) -> Result<Self, Error> {
        let mut candidate = Self {
            handle,
            id: None,
            label: String::new(),
        };
        for attribute in
            session.get_attributes(handle, &[AttributeType::Id, AttributeType::Label])?
        {
            match attribute {
                Attribute::Id(bytes) => candidate.id = KeyId::new(bytes).ok(),
                Attribute::Label(text) => candidate.label = clean(&text),
                _ => {}
            }
        }
        Ok(candidate)
    }

    fn read(self, session: &Session) -> Result<SigningKey, Error> {
        let public = self.public(session)?;
        Ok(SigningKey {
            attributes: attributes(session, self.handle)?,
            public,
            handle: self.handle,
            id: self.id,
            label: self.label,
        })
    }

    fn public(&self, session: &Session) -> Result<PublicKey, Error> {
        let unreadable = |why: &str| Error::KeyUnreadable {
            key: self.title(),
            why: why.to_owned(),
        };
        let private = Numbers::read(session, self.handle)?;
        let mut publics = Vec::new();
        if let Some(id) = &self.id {
            let template = [
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::KeyType(KeyType::RSA),
                Attribute::Id(id.as_bytes().to_vec()),
            ];
            for handle in session.find_objects(&template)? {
                publics.push(Numbers::read(session, handle)?);
            }
        }
        let numbers = choose(private, publics).map_err(unreadable)?;
        let exponent = numbers.exponent.as_deref().unwrap_or(&USUAL_EXPONENT);
        PublicKey::from_components(&numbers.modulus.unwrap_or_default(), exponent)
            .map_err(|_| unreadable("its modulus and exponent make no RSA key"))
    }

    fn title(&self) -> String {
        let id = self
            .id
            .as_ref()
            .map_or_else(|| "without id".to_owned(), |id| format!("id {id}"));
        format!("{id} label {:?}", self.label)
    }

    /// For listings, so it does without what cannot be read.
    fn line(&self, session: &Session) -> String {
        match self.public(session) {
            Ok(public) => format!("{} RSA-{} {}", self.title(), public.bits(), public.hash()),
            Err(_) => self.title(),
        }
    }
}

/// The numbers of an RSA public key, as far as an object has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Numbers {
    modulus: Option<Vec<u8>>,
    exponent: Option<Vec<u8>>,
}

impl Numbers {
    fn read(session: &Session, handle: ObjectHandle) -> Result<Self, Error> {
        let mut numbers = Self::default();
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        for attribute in session.get_attributes(handle, &wanted)? {
            match attribute {
                Attribute::Modulus(bytes) => numbers.modulus = significant(&bytes),
                Attribute::PublicExponent(bytes) => numbers.exponent = significant(&bytes),
                _ => {}
            }
        }
        Ok(numbers)
    }
}

/// Without leading zeros, so that two spellings of a number are equal.
fn significant(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

/// Settles what the private object and the public objects with its id say.
fn choose(private: Numbers, publics: Vec<Numbers>) -> Result<Numbers, &'static str> {
    let mut publics = publics.into_iter().filter(|key| key.modulus.is_some());
    if private.modulus.is_none() {
        let Some(only) = publics.next() else {
            return Err("neither the private nor a public object with its id has a modulus");
        };
        return if publics.all(|other| other == only) {
            Ok(only)
        } else {
            Err("public objects with its id hold different keys")
        };
    }
    let publics: Vec<Numbers> = publics.collect();
    match publics.iter().find(|key| key.modulus == private.modulus) {
        None if publics.is_empty() => Ok(private),
        None => Err("the public object with its id holds another key"),
        Some(twin) => match (&private.exponent, &twin.exponent) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err("the private and the public object give different exponents")
            }
            (None, _) => Ok(twin.clone()),
            (Some(_), _) => Ok(private),
        },
    }
}

fn candidates(session: &Session, selector: Option<&KeySelector>) -> Result<Vec<Candidate>, Error> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
    ];
    if let Some(selector) = selector {
        template.push(Attribute::Id(selector.id.as_bytes().to_vec()));
        if let Some(label) = &selector.label {
            template.push(Attribute::Label(label.as_bytes().to_vec()));
        }
    }
    let handles = session.find_objects(&template)?;
    handles
        .into_iter()
        .map(|handle| Candidate::name(session, handle))
        .collect()
}

/// Reads what can be read. Some modules answer an error for the whole list if one attribute is
/// foreign to them; then each is asked for by itself.
fn attributes(session: &Session, key: ObjectHandle) -> Result<KeyAttributes, Error> {
    let read = match session.get_attributes(key, &KeyAttributes::FLAGS) {
        Ok(read) => read,
        Err(first) => {
            let read: Vec<Attribute> = KeyAttributes::FLAGS
                .iter()
                .filter_map(|attribute| session.get_attributes(key, &[*attribute]).ok())
                .flatten()
                .collect();
            if read.is_empty() {
                return Err(first.into());
            }
            read
        }
    };
    Ok(KeyAttributes::new(&read, allowed_mechanisms(session, key)))
}

fn allowed_mechanisms(session: &Session, key: ObjectHandle) -> Option<Vec<MechanismType>> {
    let read = session.get_attributes(key, &[AttributeType::AllowedMechanisms]);
    read.ok()?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::AllowedMechanisms(mechanisms) => Some(mechanisms),
            _ => None,
        })
}

fn describe(selector: &KeySelector) -> String {
    match &selector.label {
        Some(label) => format!("id {} and label {label:?}", selector.id),
        None => format!("id {}", selector.id),
    }
}

/// 65537: assumed if no object tells. If that is wrong, the trial signature does not verify.
const USUAL_EXPONENT: [u8; 3] = [1, 0, 1];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(modulus: Option<u8>, exponent: Option<u8>) -> Numbers {
        Numbers {
            modulus: modulus.map(|n| vec![n]),
            exponent: exponent.map(|n| vec![n]),
        }
    }

    #[test]
    fn a_card_without_public_objects_is_served_from_the_private_one() {
        let private = numbers(Some(7), Some(3));
        assert_eq!(choose(private.clone(), Vec::new()), Ok(private));
    }

    #[test]
    fn a_private_object_without_numbers_is_served_from_the_public_one() {
        let public = numbers(Some(7), Some(3));
        let chosen = choose(numbers(None, None), vec![public.clone(), public.clone()]);
        assert_eq!(chosen, Ok(public));
        assert!(choose(numbers(None, None), Vec::new()).is_err());
    }

    #[test]
    fn halves_that_differ_are_refused() {
        let private = numbers(Some(7), Some(3));
        assert!(choose(private.clone(), vec![numbers(Some(8), Some(3))]).is_err());
        assert!(choose(private, vec![numbers(Some(7), Some(5))]).is_err());
        let two = vec![numbers(Some(7), Some(3)), numbers(Some(8), Some(3))];
        assert!(choose(numbers(None, None), two).is_err());
    }

    #[test]
    fn leading_zeros_make_no_other_number() {
        assert_eq!(significant(&[0, 0, 1, 0]), Some(vec![1, 0]));
        assert_eq!(significant(&[0, 0]), None);
    }
}
