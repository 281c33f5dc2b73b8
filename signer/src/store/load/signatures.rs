//! Signing keys, and signatures, each verified as a minion would.

use std::sync::Arc;

use minion::verify::{Algorithm, KeyHash};

use super::rebuild::Rebuild;
use crate::store::backend::Key;
use crate::store::row::{self, SignatureRow, SigningKeyRow};
use crate::store::state::{SigningKeyRecord, StoredSignature};

impl Rebuild<'_> {
    /// Takes a signing key's row. Without it nothing that the key signed is served until the HSM
    /// shows the key again.
    pub(super) fn signing_key(&mut self, hash: KeyHash, key: &Key) {
        match self.read_signing_key(hash, key) {
            Ok(None) => {}
            Ok(Some(record)) => {
                self.state.signing_keys.insert(hash, Arc::new(record));
            }
            Err(why) => self.quarantine(format!("the signing key {hash}"), key, why),
        }
    }

    /// Takes a stored signature, if it verifies.
    pub(super) fn signature(&mut self, name: (KeyHash, Algorithm, KeyHash), key: &Key) {
        match self.read_signature(name, key) {
            Ok(None) => {}
            Ok(Some(stored)) => {
                self.state.signatures.insert(name, Arc::new(stored));
            }
            Err(why) => {
                let (signing_key, algorithm, hash) = name;
                let what = format!("the {algorithm} signature over {hash} by {signing_key}");
                self.quarantine(what, key, why);
            }
        }
    }

    fn read_signing_key(
        &self,
        hash: KeyHash,
        key: &Key,
    ) -> Result<Option<SigningKeyRecord>, String> {
        let Some(entry) = self.vouched(key)? else {
            return Ok(None);
        };
        let row: SigningKeyRow = row::decode(&entry.value)?;
        Ok(Some(SigningKeyRecord {
            key: Arc::new(row.key(hash)?),
            state: row.state,
            since: row.since,
        }))
    }

    fn read_signature(
        &self,
        (signing_key, algorithm, hash): (KeyHash, Algorithm, KeyHash),
        key: &Key,
    ) -> Result<Option<StoredSignature>, String> {
        let Some(entry) = self.vouched(key)? else {
            return Ok(None);
        };
        let row: SignatureRow = row::decode(&entry.value)?;
        let signature = row.signature()?;
        let Some(signer) = self.state.signing_keys.get(&signing_key) else {
            return Err("its signing key is missing or not sound".to_owned());
        };
        let Some((owner, public)) = self.state.key(&hash).and_then(|(master, record)| {
            let public = record.key.as_ref()?;
            Some((&master.id, public))
        }) else {
            return Err("the key that it is over is missing".to_owned());
        };
        if *owner != row.master {
            return Err(format!(
                "it names {}, and the key belongs to {owner}",
                row.master
            ));
        }
        signer
            .key
            .verify(algorithm, public, &signature)
            .map_err(|error| error.to_string())?;
        Ok(Some(StoredSignature {
            signing_key,
            algorithm,
            key: hash,
            master: row.master,
            signature,
            created_at: row.created_at,
            audit_seq: row.audit_seq,
        }))
    }
}
