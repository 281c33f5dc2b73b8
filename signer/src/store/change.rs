//! One change of the state, from its decision to the memory.
//!
//! A change lists its rows, its audit event and its effects on the memory together, because they
//! are one fact: the rows and the event go into one transaction, and the effects follow only when
//! that is durable.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use minion::verify::KeyHash;
use serde::Serialize;
use uuid::Uuid;

use super::backend::{Guard, Key};
use super::layout::Row;
use super::state::{Latch, Master, SigningKeyRecord, State, StoredSignature};
use super::{Error, row};
use crate::audit::{Action, Actor, Digest, Event};
use crate::clock::Timestamp;

/// What an operation decides on.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) store: Uuid,
    pub(super) now: Timestamp,
    /// The place that the audit record of a change would have.
    pub(super) seq: u64,
}

/// Something that the store can be asked to do. It is written without a database in mind: the state
/// in, the change out.
pub(super) trait Operation: Send + 'static {
    type Output: Send + 'static;
    type Error: From<Error> + Send + 'static;

    /// Decides on the state as it is. It may be asked again when another change came between.
    fn decide(&self, view: &View<'_>) -> Result<Step<Self::Output>, Self::Error>;
}

/// What an operation decided.
#[derive(Debug)]
pub(super) enum Step<T> {
    /// Nothing has to change.
    Done(T),
    /// This is the answer once the change is durable.
    Write(Box<Change>, T),
}

/// Rows to write, the record of it, and what the memory becomes.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) guards: Vec<Guard>,
    pub(super) puts: Vec<(Key, Vec<u8>)>,
    pub(super) deletes: Vec<Key>,
    pub(super) event: Event,
    effects: Vec<Effect>,
}

impl Change {
    pub(super) const fn new(now: Timestamp, actor: Actor, action: Action, subject: String) -> Self {
        Self {
            guards: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            event: Event {
                time: now,
                actor,
                action,
                subject,
                detail: BTreeMap::new(),
                writes: BTreeMap::new(),
            },
            effects: Vec::new(),
        }
    }

    /// Adds to what the audit record says.
    pub(super) fn detail(&mut self, name: &str, value: &impl ToString) {
        self.event.detail.insert(name.to_owned(), value.to_string());
    }

    /// Requires that a row that was read, and is not written, is still as it was.
    pub(super) fn guard(&mut self, state: &State, row: &Row) {
        self.guards.push(state.guard(row.name()));
    }

    /// Writes a row, which must still be as it was.
    pub(super) fn put<T: Serialize>(
        &mut self,
        state: &State,
        row: &Row,
        value: &T,
    ) -> Result<(), Error> {
        let value = row::encode(value)?;
        let name = row.name();
        self.guards.push(state.guard(name.clone()));
        let digest = Digest::of(&value);
        self.event.writes.insert(name.to_string(), Some(digest));
        self.puts.push((name, value));
        Ok(())
    }

    /// Removes a row, which must still be as it was.
    pub(super) fn delete(&mut self, state: &State, row: &Row) {
        let name = row.name();
        self.guards.push(state.guard(name.clone()));
        self.event.writes.insert(name.to_string(), None);
        self.deletes.push(name);
    }

    /// Changes the memory when the rows are durable.
    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The rows that are written or removed.
    pub(super) fn written(&self) -> impl Iterator<Item = &Key> {
        self.puts.iter().map(|(key, _)| key).chain(&self.deletes)
    }

    /// What it records that is recorded once.
    pub(super) fn once(&self) -> impl Iterator<Item = Once> {
        self.effects.iter().filter_map(Effect::once)
    }

    /// Changes the memory; `revision` is that of the transaction that wrote the rows.
    pub(super) fn apply(self, state: &mut State, revision: u64) {
        let sound: HashSet<&str> = self.written().map(Key::as_str).collect();
        state
            .quarantined
            .retain(|bad| !sound.contains(bad.row.as_str()));
        for (key, _) in self.puts {
            state.revisions.insert(key, revision);
        }
        for key in self.deletes {
            state.revisions.remove(&key);
        }
        for effect in self.effects {
            effect.apply(state);
        }
    }
}

/// What a change does to the memory.
#[derive(Debug)]
pub(super) enum Effect {
    Command(Uuid),
    /// The key is nobody's any more, and no signature over it is kept.
    Forgotten(KeyHash),
    Latched([u8; 32], Latch),
    Master(Arc<Master>),
    Served(String, KeyHash),
    Signature(Arc<StoredSignature>),
    /// It also becomes the active one.
    SigningKey(Arc<SigningKeyRecord>),
    Unlatched([u8; 32]),
}

/// What is recorded once and changes no row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Once {
    Command(Uuid),
    Served(String, KeyHash),
}

impl Effect {
    /// What must not happen a second time in one transaction; rows guard themselves.
    fn once(&self) -> Option<Once> {
        match self {
            Self::Command(id) => Some(Once::Command(*id)),
            Self::Served(identity, key) => Some(Once::Served(identity.clone(), *key)),
            Self::Forgotten(_)
            | Self::Latched(..)
            | Self::Master(_)
            | Self::Signature(_)
            | Self::SigningKey(_)
            | Self::Unlatched(_) => None,
        }
    }

    fn apply(self, state: &mut State) {
        match self {
            Self::Command(id) => {
                state.commands.insert(id);
            }
            Self::Forgotten(hash) => {
                state.owners.remove(&hash);
                state.signatures.retain(|_, stored| stored.key != hash);
            }
            Self::Latched(tag, latch) => {
                state.latches.insert(tag, latch);
            }
            Self::Master(master) => {
                for hash in master.keys.keys() {
                    state.owners.insert(*hash, master.id.clone());
                }
                state.masters.insert(master.id.clone(), master);
            }
            Self::Served(identity, key) => {
                state.served.entry(identity).or_default().insert(key);
            }
            Self::Signature(stored) => {
                let name = (stored.signing_key, stored.algorithm, stored.key);
                state.signatures.insert(name, stored);
            }
            Self::SigningKey(record) => {
                let hash = record.key.hash();
                state.active = Some(hash);
                state.signing_keys.insert(hash, record);
            }
            Self::Unlatched(tag) => {
                state.latches.remove(&tag);
            }
        }
    }
}
