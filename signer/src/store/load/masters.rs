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
        let mut found = generation;
        let mut revocation = None;
        let why = match read {
            Ok(None) => return,
            Ok(Some(row)) => {
                found = row.generation;
                barred = barred || row.revocation.is_some();
                revocation = row.revocation.map(Arc::new);
                match &revocation {
                    Some(signed) => self.check(signed, id, &[None], Verb::Revoke, found).err(),
                    None if barred => Some("the statement that revoked it is missing".to_owned()),
                    None => None,
                }
            }
            Err(why) => Some(why),
        };
        if word.is_some() || why.is_none() {
            let master = self.masters_mut(id);
            master.generation = found;
            master.barred = barred;
            master.revocation = revocation;
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
        let only = &[Some(hash)][..];
        let checked = match (row.status, decision.as_deref()) {
            (Status::Denied | Status::Pending, None) => Ok(()),
            (Status::Accepted, Some(signed)) => {
                self.check(signed, &id, only, Verb::Accept, generation)
            }
            (Status::Rejected, Some(signed)) => {
                self.check(signed, &id, only, Verb::Reject, generation)
            }
            (Status::Revoked, Some(signed)) => {
                let keys = &[Some(hash), None];
                self.check(signed, &id, keys, Verb::Revoke, generation)
            }
            (status, Some(_)) => Err(format!("a {status} key has no statement")),
            (status, None) => Err(format!("it is {status} without a statement")),
        };
        checked?;
        if row.status != Status::Revoked {
            if public.is_none() {
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

    /// Checks that an admin signed this decision, about this master and one of these keys, in this
    /// store.
    fn check(
        &self,
        signed: &SignedStatement,
        id: &MasterId,
        keys: &[Option<KeyHash>],
        verb: Verb,
        newest: u64,
    ) -> Result<(), String> {
        let checked = self
            .operators
            .check(signed)
            .map_err(|error| error.to_string())?;
        let Statement {
            verb: said,
            store,
            master,
            key,
            generation,
            time: _,
        } = checked.statement();
        if *store != self.store {
            return Err(format!("its statement is for the store {store}"));
        }
        if *said != verb || master != id || !keys.contains(key) {
            let about = key.map_or_else(|| "all keys".to_owned(), |hash| format!("key {hash}"));
            let said = said.name();
            return Err(format!("its statement says to {said} {about} of {master}"));
        }
        if *generation > newest {
            return Err(format!(
                "its statement is number {generation}, and {newest} were taken"
            ));
        }
        Ok(())
    }

    /// The key in a row that is not sound, to show it to the operator; it is the key that the row
    /// is named by.
    fn readable_key(&self, hash: KeyHash, key: &Key) -> Option<minion::verify::PublicKey> {
        let row: KeyRow = row::decode(&self.rows.get(key)?.value).ok()?;
        row.key(hash).ok()?
    }
}
