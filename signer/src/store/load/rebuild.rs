//! The state from the rows, each in the order in which others depend on it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::audit::{Trail, Word};
use crate::audit::Digest;
use crate::authorize::{MasterId, OperatorsCa};
use crate::store::State;
use crate::store::backend::{Entry, Key};
use crate::store::layout::Row;
use crate::store::row::{self, LatchRow};
use crate::store::state::{Latch, Quarantined};

/// The state in the making, and everything that it is checked against.
#[derive(Debug)]
pub(super) struct Rebuild<'a> {
    pub(super) rows: BTreeMap<Key, Entry>,
    pub(super) trail: &'a Trail,
    pub(super) operators: &'a OperatorsCa,
    pub(super) store: Uuid,
    pub(super) state: State,
    /// Masters whose own row is not sound.
    pub(super) suspects: HashSet<MasterId>,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(
        rows: BTreeMap<Key, Entry>,
        trail: &'a Trail,
        operators: &'a OperatorsCa,
        store: Uuid,
    ) -> Self {
        let state = State {
            revisions: super::revisions(&rows),
            active: trail.active(),
            commands: trail.commands().clone(),
            served: trail.served().clone(),
            ..State::default()
        };
        Self {
            rows,
            trail,
            operators,
            store,
            state,
            suspects: HashSet::new(),
        }
    }

    pub(super) fn run(mut self) -> State {
        // A row that is missing must be looked at as well: a revocation can be undone by removing
        // it.
        let names: BTreeSet<Key> = self.rows.keys().chain(self.trail.rows()).cloned().collect();
        let known: Vec<(Key, Row)> = names
            .iter()
            .filter_map(|key| Some((key.clone(), Row::parse(key)?)))
            .collect();
        for key in names.iter().filter(|key| Row::parse(key).is_none()) {
            self.quarantine(
                "a row",
                key,
                "no version of this program writes such a row".to_owned(),
            );
        }
        for (key, row) in &known {
            match row {
                Row::ActiveSigningKey => self.vouch("the choice of the active signing key", key),
                Row::Latch(tag) => self.latch(*tag, key),
                Row::Master(id) => self.master(id, key),
                Row::Schema | Row::Store => self.vouch("the identity of the store", key),
                Row::SigningKey(hash) => self.signing_key(*hash, key),
                Row::Statement(id, generation) => {
                    self.vouch(&format!("decision {generation} about {id}"), key);
                }
                Row::AuditHead | Row::AuditRecord(_) | Row::Key(_) | Row::Signature(..) => {}
            }
        }
        for (key, row) in &known {
            if let Row::Key(hash) = row {
                self.key(*hash, key);
            }
        }
        for (key, row) in &known {
            if let Row::Signature(signing_key, algorithm, hash) = row {
                self.signature((*signing_key, *algorithm, *hash), key);
            }
        }
        self.state
    }

    /// The row, if it is what the newest audit record about it wrote; otherwise what is wrong, for
    /// people.
    ///
    /// None if the audit log says that there is no such row, and there is none.
    pub(super) fn vouched(&self, key: &Key) -> Result<Option<&Entry>, String> {
        let digest = |word: &Word| word.digest;
        match (self.rows.get(key), self.trail.word(key)) {
            (Some(_), None) => Err("no audit record wrote it".to_owned()),
            (Some(entry), Some(word)) => {
                let Word { seq, action, .. } = word;
                match digest(word) {
                    Some(expected) if expected == Digest::of(&entry.value) => Ok(Some(entry)),
                    Some(_) => Err(format!(
                        "it is not what audit record {seq} ({action}) wrote"
                    )),
                    None => Err(format!("audit record {seq} ({action}) removed it")),
                }
            }
            (None, Some(word)) => match digest(word) {
                Some(_) => Err(format!(
                    "it is missing, and audit record {} ({}) wrote it",
                    word.seq, word.action
                )),
                None => Ok(None),
            },
            (None, None) => Ok(None),
        }
    }

    pub(super) fn quarantine(&mut self, what: impl Into<String>, key: &Key, why: String) {
        self.state.quarantined.push(Quarantined {
            what: what.into(),
            row: key.to_string(),
            why,
        });
    }

    /// Reports a row that is not sound; for rows that nothing else depends on.
    fn vouch(&mut self, what: &str, key: &Key) {
        if let Err(why) = self.vouched(key) {
            self.quarantine(what, key, why);
        }
    }

    /// A latch that was tampered with stays: a token that locks itself is worse than a PIN that has
    /// to be unlatched.
    fn latch(&mut self, tag: [u8; 32], key: &Key) {
        let read = self.vouched(key).and_then(|entry| {
            let row = entry.map(|entry| row::decode::<LatchRow>(&entry.value));
            row.transpose()
        });
        let why = match read {
            Ok(Some(row)) => {
                self.state.latches.insert(tag, Latch::from(row));
                return;
            }
            Ok(None) => return,
            Err(why) => why,
        };
        let word = self.trail.word(key).filter(|word| word.digest.is_some());
        let latch = word.and_then(|word| {
            Some(Latch {
                serial: word.detail.get("serial")?.clone(),
                reason: word.detail.get("reason")?.clone(),
                since: word.time,
            })
        });
        if let Some(latch) = latch {
            self.state.latches.insert(tag, latch);
        }
        self.quarantine("the latch of a PIN", key, why);
    }

    pub(super) fn masters_mut(&mut self, id: &MasterId) -> &mut crate::store::Master {
        let masters = &mut self.state.masters;
        let master = masters
            .entry(id.clone())
            .or_insert_with(|| Arc::new(crate::store::Master::new(id.clone())));
        Arc::make_mut(master)
    }
}
