//! Whether a sequence of records is the one that was written.
//!
//! Pure: bytes in, verdict out. An edit, a removal or a swap anywhere before the end breaks the
//! chain by itself. The end has no successor that would vouch for it: a chain whose tail was cut,
//! or whose last record was exchanged, is still a chain, and only somebody who kept its [`Head`]
//! can tell. Hence the head is compared by whoever has one: the store keeps it in a row of its own,
//! and a copy kept elsewhere catches whoever replaced both.
#![warn(clippy::wildcard_enum_match_arm)]

use serde::{Deserialize, Serialize};

use super::{Action, Digest, ReadError, Record};

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The place of the last record.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Checks a whole chain, from its first record.
///
/// # Errors
///
/// Says at which record the chain stops being one.
pub fn verify<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Result<Head, Broken> {
    let mut verifier = Verifier::default();
    for bytes in records {
        verifier.push(bytes)?;
    }
    verifier.head().ok_or(Broken {
        seq: 1,
        cause: Cause::Missing,
    })
}

/// Checks a chain piece by piece, for a caller that does not hold it in memory.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    head: Option<Head>,
}

impl Verifier {
    /// Continues behind a place whose hash is known, or taken for granted: what came before it is
    /// not judged.
    #[must_use]
    pub const fn after(head: Head) -> Self {
        Self { head: Some(head) }
    }

    /// Takes the bytes of the next record and returns what they say.
    ///
    /// # Errors
    ///
    /// Says why the bytes do not continue the chain. The verifier must not be used further.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Record, Broken> {
        let (seq, prev) = match self.head {
            None => (1, Digest::ZERO),
            Some(Head { seq, hash }) => (seq.saturating_add(1), hash),
        };
        let broken = |cause| Broken { seq, cause };
        let record = Record::from_bytes(bytes).map_err(|error| broken(Cause::Unreadable(error)))?;
        if record.seq != seq {
            return Err(broken(Cause::Place { found: record.seq }));
        }
        if record.prev != prev {
            return Err(broken(Cause::Link));
        }
        if (record.action == Action::StoreCreated) != (seq == 1) {
            return Err(broken(Cause::Genesis));
        }
        self.head = Some(Head {
            seq,
            hash: Record::hash(bytes),
        });
        Ok(record)
    }

    /// The end of what was taken so far; none before the first record.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }
}

/// Where and how a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at record {seq}")]
pub struct Broken {
    /// The place of the first record that does not continue the chain.
    pub seq: u64,
    /// What is wrong with it.
    #[source]
    pub cause: Cause,
}

/// What is wrong at a place of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The record of a store's beginning is not the first, or stands in a later place.
    #[error("a chain begins with the record of the store's creation, and only there")]
    Genesis,
    /// The chain ends elsewhere than the head says.
    #[error("the chain does not end where the head of the store says it ends")]
    Head,
    /// The record does not name the hash of the one before: one of the two was changed.
    #[error("the record does not continue the one before it: one of the two was changed")]
    Link,
    /// There is no record.
    #[error("the record is missing")]
    Missing,
    /// A record from another place: some were removed, added or moved.
    #[error("record {found} stands in this place: records were removed, added or moved")]
    Place {
        /// The place that the record names.
        found: u64,
    },
    /// The bytes are no record.
    #[error("the record cannot be read")]
    Unreadable(#[source] ReadError),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Actor, Event};
    use crate::clock::Timestamp;

    #[test]
    fn a_chain_is_verified_to_its_head() {
        let chain = chain(5);
        let head = verify(chain.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(head.seq, 5);
        assert_eq!(head.hash, Record::hash(&chain[4]));
    }

    #[test]
    fn an_empty_chain_is_none() {
        let broken = verify([]).unwrap_err();
        assert_eq!((broken.seq, broken.cause), (1, Cause::Missing));
    }

    #[test]
    fn a_second_beginning_is_refused() {
        let mut chain = chain(2);
        let record = event(Action::StoreCreated, "again").chain(3, Record::hash(&chain[1]));
        chain.push(record.to_bytes().unwrap());
        let broken = verify(chain.iter().map(Vec::as_slice)).unwrap_err();
        assert_eq!((broken.seq, broken.cause), (3, Cause::Genesis));
    }

    #[test]
    fn a_cut_tail_is_a_chain_with_another_head() {
        let chain = chain(4);
        let whole = verify(chain.iter().map(Vec::as_slice)).unwrap();
        let cut = verify(chain.iter().take(3).map(Vec::as_slice)).unwrap();
        assert_ne!(whole, cut);
    }

    proptest! {
        #[test]
        fn an_edited_record_is_found(
            length in 2_usize..12,
            at: prop::sample::Index,
            byte: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let original = chain(length);
            let whole = verify(original.iter().map(Vec::as_slice)).unwrap();
            let mut edited = original;
            let at = at.index(length);
            let byte = byte.index(edited[at].len());
            edited[at][byte] ^= 1 << bit;
            let verdict = verify(edited.iter().map(Vec::as_slice));
            prop_assert_ne!(verdict, Ok(whole));
            if at < length.saturating_sub(1) {
                prop_assert!(verdict.is_err());
            }
        }

        #[test]
        fn a_removed_record_is_found(length in 2_usize..12, at: prop::sample::Index) {
            let mut records = chain(length);
            let whole = verify(records.iter().map(Vec::as_slice)).unwrap();
            let at = at.index(length);
            records.remove(at);
            let verdict = verify(records.iter().map(Vec::as_slice));
            prop_assert_ne!(verdict, Ok(whole));
            if at < length.saturating_sub(1) {
                prop_assert_eq!(verdict.unwrap_err().seq, place(at));
            }
        }

        #[test]
        fn swapped_records_are_found(
            length in 2_usize..12,
            a: prop::sample::Index,
            b: prop::sample::Index,
        ) {
            let (a, b) = (a.index(length), b.index(length));
            prop_assume!(a != b);
            let mut records = chain(length);
            records.swap(a, b);
            let broken = verify(records.iter().map(Vec::as_slice)).unwrap_err();
            prop_assert_eq!(broken.seq, place(a.min(b)));
        }

        #[test]
        fn a_repeated_record_is_found(length in 1_usize..12, at: prop::sample::Index) {
            let mut records = chain(length);
            let at = at.index(length);
            records.insert(at, records[at].clone());
            prop_assert!(verify(records.iter().map(Vec::as_slice)).is_err());
        }
    }

    /// The sequence number in that place of a list.
    fn place(index: usize) -> u64 {
        u64::try_from(index).unwrap().saturating_add(1)
    }

    fn chain(length: usize) -> Vec<Vec<u8>> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut prev = Digest::ZERO;
        for (index, seq) in (0..length).zip(1..) {
            let action = if index == 0 {
                Action::StoreCreated
            } else {
                Action::KeyPresented
            };
            let record = event(action, &format!("m{index}")).chain(seq, prev);
            let bytes = record.to_bytes().unwrap();
            prev = Record::hash(&bytes);
            records.push(bytes);
        }
        records
    }

    fn event(action: Action, subject: &str) -> Event {
        Event {
            time: Timestamp::from_unix(1_795_314_306).unwrap(),
            actor: Actor::service(),
            action,
            subject: subject.to_owned(),
            detail: BTreeMap::new(),
            writes: BTreeMap::new(),
        }
    }
}
