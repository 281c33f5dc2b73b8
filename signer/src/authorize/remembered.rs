//! Statements that were found good, known again by the exact bytes that were checked.
//!
//! Every request for a signature, cached or not, rests on an operator's statement, and verifying
//! that anew costs four times what the rest of a cached answer does. Whether a statement holds
//! depends on its three texts and on the operators' CA and on nothing else: it is judged at the
//! time that it names itself. So a statement that was good once under a CA is good for as long as
//! that CA object lives, and only good ones are remembered. The name is SHA-256 over all three
//! texts with their lengths, so that a text which differs in one bit, or is cut elsewhere, is
//! another one and is checked. Whatever can change, like the state of the master, is asked each
//! time and elsewhere.
//!
//! Nobody but an admin can fill the memory, and it forgets by halves.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::SignedStatement;
use super::checked::Decision;

/// The exact bytes of a statement, its signature and its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 32]);

impl Name {
    pub(super) fn of(signed: &SignedStatement) -> Self {
        let SignedStatement {
            statement,
            signature,
            certificate,
        } = signed;
        let mut hash = Sha256::new();
        for text in [statement, signature, certificate] {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        Self(hash.finalize().into())
    }
}

/// The memory of one operators' CA.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Halves>);

/// What was asked for lately, and what was before that.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Name, Arc<Decision>>,
    old: HashMap<Name, Arc<Decision>>,
}

impl Remembered {
    pub(super) fn get(&self, name: Name) -> Option<Arc<Decision>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = halves.young.get(&name) {
            return Some(Arc::clone(found));
        }
        let found = halves.old.remove(&name)?;
        halves.insert(name, Arc::clone(&found));
        Some(found)
    }

    /// Remembers a statement that was found good.
    pub(super) fn insert(&self, name: Name, decision: Arc<Decision>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.insert(name, decision);
    }
}

impl Halves {
    fn insert(&mut self, name: Name, decision: Arc<Decision>) {
        if self.young.len() >= HALF {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name, decision);
    }
}

/// More masters than one installation is expected to have; each statement takes some 300 bytes.
const HALF: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::{Statement, Verb};

    #[test]
    fn a_text_that_is_cut_elsewhere_is_another_statement() {
        let name = |[statement, signature, certificate]: [&str; 3]| {
            Name::of(&SignedStatement {
                statement: statement.to_owned(),
                signature: signature.to_owned(),
                certificate: certificate.to_owned(),
            })
        };
        let one = name(["ab", "c", "d"]);
        assert_eq!(one, name(["ab", "c", "d"]));
        for other in [["a", "bc", "d"], ["ab", "cd", ""], ["ab", "c", "e"]] {
            assert_ne!(one, name(other));
        }
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_asked_for() {
        let remembered = Remembered::default();
        let (asked, decision) = (name(0), decision());
        remembered.insert(asked, Arc::clone(&decision));
        for number in 1..=4 * HALF {
            remembered.insert(name(number), Arc::clone(&decision));
            assert!(remembered.get(asked).is_some(), "after {number}");
        }
        assert!(remembered.get(name(1)).is_none());
        let halves = remembered.0.lock().unwrap();
        assert!(halves.young.len() <= HALF && halves.old.len() <= HALF);
    }

    fn name(number: usize) -> Name {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Name(bytes)
    }

    fn decision() -> Arc<Decision> {
        let statement = Statement {
            verb: Verb::Accept,
            store: uuid::Uuid::nil(),
            master: "m1".parse().unwrap(),
            key: None,
            generation: 1,
            time: "2026-06-01T00:00:00Z".parse().unwrap(),
        };
        Arc::new(Decision::new(statement, "ada".to_owned(), [0; 32]))
    }
}
