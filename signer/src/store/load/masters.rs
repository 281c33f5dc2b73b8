//! Masters, their keys, and the operators' statements behind both.

use std::sync::Arc;

use minion::verify::KeyHash;

use super::rebuild::Rebuild;
use crate::authorize::{MasterId, SignedStatement, Statement, Verb};
use crate::store::backend::Key;
use crate::store::row::{self, KeyRow, MasterRow};
use crate::store::state::{KeyRecord, Master, Status};

impl Rebuild<'_> {
    /// Takes a master's own row. If it is not sound, the audit log says how many decisions there
    /// were and whether the master is barred, and none of its keys counts as accepted.
    pub(super) fn master(&mut self, id: &MasterId, key: &Key) {
        let read = self.vouched(key).and_then(|entry| {
            let row = entry.map(|entry| row::decode::<MasterRow>(&entry.value));
            row.transpose()
        });
        let word = self.trail.word(key);
        let (generation, mut barred) = word.map_or((0, false), |word| {
            (word.generation().unwrap_or(0), word.is_revoked)
        });
        let revoked_by = word.and_then(|word| word.revoked_by);
        let mut found = generation;
        let (mut revocation, mut reinstatement) = (None, None);
        let why = match read {
            Ok(None) => return,
            Ok(Some(row)) => {
                found = row.generation;
                barred = barred || row.revocation.is_some();
                revocation = row.revocation.map(Arc::new);
                reinstatement = row.reinstatement.map(Arc::new);
                let sound = match (&revocation, &reinstatement) {
                    (Some(signed), _) => self
                        .check(signed, id, found, &[(Verb::Revoke, None)])
                        .map(drop),
                    (None, _) if barred => {
                        Err("the statement that revoked it is missing".to_owned())
                    }
                    (None, signed) => {
                        self.check_reinstated(signed.as_deref(), id, found, revoked_by)
                    }
                };
                // Who could forge the lifting of a bar would not need to remove the bar.
                barred = barred || sound.is_err() && revoked_by.is_some();
                sound.err()
            }
            Err(why) => Some(why),
        };
        if word.is_some() || why.is_none() {
            let master = self.masters_mut(id);
            master.generation = found;
            master.barred = barred;
            master.revocation = revocation;
            master.reinstatement = reinstatement;
        }
        if let Some(why) = why {
            self.suspects.insert(id.clone());
            self.quarantine(format!("the master {id}"), key, why);
        }
    }

    /// Takes a key's row. If it is not sound, the key counts as revoked if it ever was, and
    /// otherwise as not accepted.
    pub(super) fn key(&mut self, hash: KeyHash, key: &Key) {
        let why = match self.read_key(hash, key) {
            Ok(None) => return,
            Ok(Some((id, record))) => {
                self.take_key(&id, hash, record);
                return;
            }
            Err(why) => why,
        };
        let mut what = format!("the key {hash}");
        let word = self.trail.word(key);
        if let Some((word, id)) = word.and_then(|word| Some((word, word.master()?))) {
            what = format!("the key {hash} of {id}");
            let record = KeyRecord {
                key: self.readable_key(hash, key).map(Arc::new),
                status: if word.is_revoked {
                    Status::Revoked
                } else {
                    Status::Quarantined
                },
                since: word.time,
                decision: None,
            };
            self.take_key(&id, hash, record);
        }
        self.quarantine(what, key, why);
    }

    fn take_key(&mut self, id: &MasterId, hash: KeyHash, record: KeyRecord) {
        self.state.owners.insert(hash, id.clone());
        let master = self.masters_mut(id);
        master.keys.insert(hash, record);
    }

    fn read_key(&self, hash: KeyHash, key: &Key) -> Result<Option<(MasterId, KeyRecord)>, String> {
        let Some(entry) = self.vouched(key)? else {
            return Ok(None);
        };
        let row: KeyRow = row::decode(&entry.value)?;
        let public = row.key(hash)?.map(Arc::new);
        let id = row.master;
        let master = self.state.master(&id);
        let generation = master.map_or(0, |master| master.generation);
        let decision = row.statement.map(Arc::new);
        let said: &[_] = match (row.status, &decision) {
            (Status::Denied | Status::Pending, None) => &[],
            (Status::Accepted, Some(_)) => &[(Verb::Accept, Some(hash))],
            (Status::Denied, Some(_)) => &[(Verb::Rename, Some(hash))],
            (Status::Pending, Some(_)) => {
                &[(Verb::Reinstate, Some(hash)), (Verb::Rename, Some(hash))]
            }
            (Status::Rejected, Some(_)) => &[(Verb::Reject, Some(hash))],
            (Status::Revoked, Some(_)) => &[(Verb::Revoke, Some(hash)), (Verb::Revoke, None)],
            (status @ Status::Quarantined, Some(_)) => {
                return Err(format!("a {status} key has no statement"));
            }
            (status, None) => return Err(format!("it is {status} without a statement")),
        };
        let mut is_expected = false;
        if let Some(signed) = decision.as_deref() {
            let verb = self.check(signed, &id, generation, said)?;
            is_expected = verb == Verb::Reinstate;
        }
        if row.status != Status::Revoked {
            if public.is_none() && !is_expected {
                return Err("the key itself is missing".to_owned());
            }
            if self.suspects.contains(&id) {
                return Err(format!("the row of its master {id} is not sound"));
            }
            if master.is_none_or(|master: &Arc<Master>| master.barred) {
                return Err(format!("its master {id} is revoked or missing"));
            }
        }
        let record = KeyRecord {
            key: public,
            status: row.status,
            since: row.since,
            decision,
        };
        Ok(Some((id, record)))
    }

    /// Checks that the bar of a master that was revoked once was lifted by an admin who knew of that
    /// revocation, so that an older reinstatement does not lift a later one.
    fn check_reinstated(
        &self,
        signed: Option<&SignedStatement>,
        id: &MasterId,
        newest: u64,
        revoked_by: Option<u64>,
    ) -> Result<(), String> {
        let (signed, revoked_by) = match (signed, revoked_by) {
            (None, None) => return Ok(()),
            (Some(signed), revoked_by) => (signed, revoked_by.unwrap_or(0)),
            (None, Some(_)) => {
                return Err("the statement that reinstated it is missing".to_owned());
            }
        };
        let checked = self
            .operators
            .check(signed)
            .map_err(|error| error.to_string())?;
        let Statement {
            key, generation, ..
        } = checked.statement();
        self.check(signed, id, newest, &[(Verb::Reinstate, *key)])?;
        if *generation > revoked_by {
            Ok(())
        } else {
            Err(format!(
                "the statement that reinstated it is number {generation}, and number {revoked_by} revoked it"
            ))
        }
    }

    /// Checks that an admin said one of these things about this master in this store; which one.
    fn check(
        &self,
        signed: &SignedStatement,
        id: &MasterId,
        newest: u64,
        allowed: &[(Verb, Option<KeyHash>)],
    ) -> Result<Verb, String> {
        let checked = self
            .operators
            .check(signed)
            .map_err(|error| error.to_string())?;
        let Statement {
            verb,
            store,
            master,
            key,
            generation,
            time: _,
        } = checked.statement();
        if *store != self.store {
            return Err(format!("its statement is for the store {store}"));
        }
        if master != id || !allowed.contains(&(*verb, *key)) {
            let about = key.map_or_else(|| "all keys".to_owned(), |hash| format!("key {hash}"));
            let said = verb.name();
            return Err(format!("its statement says to {said} {about} of {master}"));
        }
        if *generation > newest {
            return Err(format!(
                "its statement is number {generation}, and {newest} were taken"
            ));
        }
        Ok(*verb)
    }

    /// The key in a row that is not sound, to show it to the operator; it is the key that the row
    /// is named by.
    fn readable_key(&self, hash: KeyHash, key: &Key) -> Option<minion::verify::PublicKey> {
        let row: KeyRow = row::decode(&self.rows.get(key)?.value).ok()?;
        row.key(hash).ok()?
    }
}
