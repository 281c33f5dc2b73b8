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
//! Hashing 1.5 KiB is still a tenth of such an answer, so a statement that the store keeps in memory
//! is also known by its place there.
//!
//! Nobody but an admin can fill the memory, and it forgets by halves.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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
pub(super) struct Remembered {
    by_name: Mutex<Halves<Name, Arc<Decision>>>,
    /// By the address of the statement. It says that it is the very same object, whose content
    /// cannot have changed, for no other object can come to that address while the weak reference
    /// is there.
    by_place: Mutex<Halves<usize, Kept>>,
}

#[derive(Debug)]
struct Kept {
    _holds_its_place: Weak<SignedStatement>,
    decision: Arc<Decision>,
}

impl Remembered {
    pub(super) fn get(&self, name: Name) -> Option<Arc<Decision>> {
        lock(&self.by_name).get(name).map(Arc::clone)
    }

    /// Remembers a statement that was found good.
    pub(super) fn insert(&self, name: Name, decision: Arc<Decision>) {
        lock(&self.by_name).insert(name, decision);
    }

    /// As [`get`](Self::get), for a statement that was seen in the same place before.
    pub(super) fn kept(&self, statement: &Arc<SignedStatement>) -> Option<Arc<Decision>> {
        let place = Arc::as_ptr(statement).addr();
        let mut by_place = lock(&self.by_place);
        by_place.get(place).map(|kept| Arc::clone(&kept.decision))
    }

    /// Remembers where a statement is that was found good.
    pub(super) fn keep(&self, statement: &Arc<SignedStatement>, decision: Arc<Decision>) {
        let place = Arc::as_ptr(statement).addr();
        let kept = Kept {
            _holds_its_place: Arc::downgrade(statement),
            decision,
        };
        lock(&self.by_place).insert(place, kept);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was asked for lately, and what was before that.
#[derive(Debug)]
struct Halves<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V> Halves<K, V> {
    fn get(&mut self, key: K) -> Option<&V> {
        if let Some(found) = self.old.remove(&key) {
            self.insert(key, found);
        }
        self.young.get(&key)
    }

    fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= HALF {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<K, V> Default for Halves<K, V> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}

/// More masters than one installation is expected to have; each statement takes some 300 bytes.
const HALF: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
        let halves = lock(&remembered.by_name);
        assert!(halves.young.len() <= HALF && halves.old.len() <= HALF);
    }

    #[test]
    fn a_place_is_that_of_one_statement_as_long_as_it_is_remembered() {
        let remembered = Remembered::default();
        let signed = |text: &str| {
            Arc::new(SignedStatement {
                statement: text.to_owned(),
                signature: String::new(),
                certificate: String::new(),
            })
        };
        let mut places = HashSet::new();
        for number in 0..1000 {
            let statement = signed(&number.to_string());
            assert!(remembered.kept(&statement).is_none(), "{number}");
            remembered.keep(&statement, decision());
            assert!(remembered.kept(&statement).is_some());
            // Another one with the same bytes is not the same object.
            assert!(remembered.kept(&signed(&number.to_string())).is_none());
            // Dropped here: without the weak reference the next one would come to this place.
            places.insert(Arc::as_ptr(&statement).addr());
        }
        assert_eq!(places.len(), 1000);
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
