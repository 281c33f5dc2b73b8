//! The right to have one key signed once.
//!
//! The decision takes what is known as arguments and asks nobody, so it can be tested as a table.
//! It reads the master's state *and* checks the operator's signature: the state alone could have
//! been written by whoever took the database.

use std::sync::Arc;

use minion::verify::{KeyHash, PublicKey};
use uuid::Uuid;

use super::{Identity, MasterId, OperatorsCa, SignedStatement, StatementError};
use crate::store::{KeyRecord, Master, Status};

/// Says that a caller may have this key signed. Signing takes it by value.
///
/// Only [`authorize`] makes one:
///
/// ```compile_fail,E0451
/// # fn forge(
/// #     master: signer::authorize::MasterId,
/// #     key: std::sync::Arc<minion::verify::PublicKey>,
/// #     acceptance: std::sync::Arc<signer::authorize::SignedStatement>,
/// # ) -> signer::authorize::Permit {
/// signer::authorize::Permit { master, key, acceptance, generation: 1 }
/// # }
/// ```
///
/// It is good for one signature:
///
/// ```
/// # fn sign(permit: signer::authorize::Permit) {}
/// fn once(permit: signer::authorize::Permit) {
///     sign(permit);
/// }
/// ```
///
/// and not for two:
///
/// ```compile_fail,E0382
/// # fn sign(permit: signer::authorize::Permit) {}
/// fn twice(permit: signer::authorize::Permit) {
///     sign(permit);
///     sign(permit);
/// }
/// ```
///
/// and there is no second copy:
///
/// ```compile_fail,E0599
/// fn copy(permit: signer::authorize::Permit) -> signer::authorize::Permit {
///     permit.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    master: MasterId,
    key: Arc<PublicKey>,
    acceptance: Arc<SignedStatement>,
    generation: u64,
}

impl Permit {
    /// The master whose key it is.
    #[must_use]
    pub const fn master(&self) -> &MasterId {
        &self.master
    }

    /// The key to sign.
    #[must_use]
    pub const fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    /// The admin's decision that this rests on; the HSM worker checks it again.
    #[must_use]
    pub const fn acceptance(&self) -> &Arc<SignedStatement> {
        &self.acceptance
    }

    /// The master's generation at the time; a later decision makes it outdated.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Decides whether `caller` may have `key` signed, given what is known of the master that it claims
/// to be.
///
/// # Errors
///
/// Says who has to do something about it; [`Denied::Pending`] may change when an operator decides.
pub fn authorize(
    caller: &Identity,
    key: Arc<PublicKey>,
    master: Option<&Master>,
    operators: &OperatorsCa,
    store: Uuid,
) -> Result<Permit, Denied> {
    let (master, acceptance) = accepted(caller, key.hash(), master, operators, store)?;
    Ok(Permit {
        master: master.id.clone(),
        key,
        acceptance: Arc::clone(acceptance),
        generation: master.generation,
    })
}

/// Decides whether `caller` may read signatures over `key`: as [`authorize`], and gives no permit.
///
/// # Errors
///
/// As [`authorize`].
pub fn accepted<'a>(
    caller: &Identity,
    key: KeyHash,
    master: Option<&'a Master>,
    operators: &OperatorsCa,
    store: Uuid,
) -> Result<(&'a Master, &'a Arc<SignedStatement>), Denied> {
    let Identity::Master(id) = caller else {
        return Err(Denied::NotYours);
    };
    let master = master.ok_or(Denied::Unknown)?;
    if master.id != *id {
        return Err(Denied::NotYours);
    }
    let record = standing(master, key)?;
    let acceptance = record
        .decision
        .as_ref()
        .ok_or(Denied::AcceptanceInvalid(StatementError::NotAnAcceptance))?;
    let checked = operators
        .check_kept_acceptance(acceptance, store, key)
        .map_err(Denied::AcceptanceInvalid)?;
    if checked.statement().master != *id {
        return Err(Denied::AcceptanceInvalid(StatementError::OtherMaster));
    }
    if checked.statement().generation > master.generation {
        return Err(Denied::AcceptanceInvalid(StatementError::FromTheFuture));
    }
    Ok((master, acceptance))
}

/// Where a key stands: its record if it is accepted, else why it is not.
///
/// # Errors
///
/// As [`authorize`].
pub fn standing(master: &Master, key: KeyHash) -> Result<&KeyRecord, Denied> {
    if master.barred {
        return Err(Denied::Revoked);
    }
    let record = master.keys.get(&key).ok_or(Denied::Unknown)?;
    match record.status {
        Status::Accepted => Ok(record),
        Status::Denied => Err(Denied::OtherKey),
        // Named by an operator, and shown by nobody yet.
        Status::Pending if record.key.is_none() => Err(Denied::Unknown),
        Status::Pending => Err(Denied::Pending),
        Status::Quarantined => Err(Denied::Quarantined),
        Status::Rejected => Err(Denied::Rejected),
        Status::Revoked => Err(Denied::Revoked),
    }
}

/// Why a key is not signed for this caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The state says accepted, but no operator's signature bears it out: the database was tampered
    /// with, or the operators' CA was exchanged.
    #[error("the key is marked as accepted, but no admin's signature bears that out")]
    AcceptanceInvalid(#[source] StatementError),
    /// The caller is not the master that the key is for.
    #[error("the client certificate does not belong to this master")]
    NotYours,
    /// The master has another key, or another one is waiting for a decision.
    #[error(
        "another key is accepted or pending for this master; an operator has to decide between them"
    )]
    OtherKey,
    /// No operator has decided yet.
    #[error("the key waits for an operator's decision")]
    Pending,
    /// The key's row in the database was altered; an operator has to decide anew.
    #[error(
        "what is stored about this key was altered, so it does not count until an operator \
         decides anew"
    )]
    Quarantined,
    /// An operator said no.
    #[error("an operator rejected this key")]
    Rejected,
    /// The key or the whole master is barred.
    #[error("an operator revoked this key or this master")]
    Revoked,
    /// The key was never presented by this master.
    #[error("this master never presented such a key")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::testing::{Issued, MasterKey, TestCa};
    use crate::authorize::{OperatorRole, Statement, Verb};

    const STORE: Uuid = Uuid::from_u128(7);

    struct Scene {
        ca: TestCa,
        ada: Issued,
        operators: OperatorsCa,
        key: Arc<PublicKey>,
        id: MasterId,
    }

    impl Scene {
        fn new() -> Self {
            let ca = TestCa::new();
            Self {
                ada: ca.admin("ada"),
                operators: ca.operators(),
                ca,
                key: MasterKey::generate().public,
                id: "m1".parse().unwrap(),
            }
        }

        fn statement(&self) -> Statement {
            Statement {
                verb: Verb::Accept,
                store: STORE,
                master: self.id.clone(),
                key: Some(self.key.hash()),
                generation: 1,
                time: "2026-06-01T00:00:00Z".parse().unwrap(),
            }
        }

        fn master(&self, status: Status, decision: Option<SignedStatement>) -> Master {
            master(&self.id, &self.key, status, decision)
        }

        fn ask(&self, master: &Master) -> Result<Permit, Denied> {
            let caller = Identity::Master(self.id.clone());
            authorize(
                &caller,
                Arc::clone(&self.key),
                Some(master),
                &self.operators,
                STORE,
            )
        }

        /// What is said to an acceptance that stands in the state but is not `decision`'s to give.
        fn refused(&self, decision: Option<SignedStatement>) -> StatementError {
            match self.ask(&self.master(Status::Accepted, decision)) {
                Err(Denied::AcceptanceInvalid(error)) => error,
                other => panic!("not refused for its acceptance: {other:?}"),
            }
        }
    }

    fn master(
        id: &MasterId,
        key: &Arc<PublicKey>,
        status: Status,
        decision: Option<SignedStatement>,
    ) -> Master {
        let mut master = Master::new(id.clone());
        master.generation = 1;
        let record = KeyRecord {
            key: Some(Arc::clone(key)),
            status,
            since: "2026-06-01T00:00:00Z".parse().unwrap(),
            decision: decision.map(Arc::new),
        };
        master.keys.insert(key.hash(), record);
        master
    }

    #[test]
    fn of_six_masters_and_six_keys_only_the_diagonal_passes() {
        let scene = Scene::new();
        let keys: Vec<_> = (0..6).map(|_| MasterKey::generate().public).collect();
        let masters: Vec<Master> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| {
                let id: MasterId = format!("m{number}").parse().unwrap();
                let statement = Statement {
                    master: id.clone(),
                    key: Some(key.hash()),
                    ..scene.statement()
                };
                let decision = scene.ada.sign(&statement);
                master(&id, key, Status::Accepted, Some(decision))
            })
            .collect();
        for (caller, own) in masters.iter().enumerate() {
            let identity = Identity::Master(own.id.clone());
            for (asked, key) in keys.iter().enumerate() {
                for (shown, state) in masters.iter().enumerate() {
                    let permit = authorize(
                        &identity,
                        Arc::clone(key),
                        Some(state),
                        &scene.operators,
                        STORE,
                    );
                    let diagonal = caller == asked && asked == shown;
                    assert_eq!(permit.is_ok(), diagonal, "{caller} {asked} {shown}");
                }
            }
        }
    }

    #[test]
    fn a_permit_says_what_was_decided() {
        let scene = Scene::new();
        let decision = scene.ada.sign(&scene.statement());
        let permit = scene
            .ask(&scene.master(Status::Accepted, Some(decision.clone())))
            .unwrap();
        assert_eq!(permit.master(), &scene.id);
        assert_eq!(permit.key(), &scene.key);
        assert_eq!(**permit.acceptance(), decision);
        assert_eq!(permit.generation(), 1);
    }

    #[test]
    fn no_operator_has_a_key_signed() {
        let scene = Scene::new();
        let master = scene.master(Status::Accepted, Some(scene.ada.sign(&scene.statement())));
        for role in [
            OperatorRole::Admin,
            OperatorRole::Auditor,
            OperatorRole::Metrics,
        ] {
            let caller = Identity::Operator {
                role,
                name: "m1".to_owned(),
            };
            let permit = authorize(
                &caller,
                Arc::clone(&scene.key),
                Some(&master),
                &scene.operators,
                STORE,
            );
            assert_eq!(permit.unwrap_err(), Denied::NotYours);
        }
    }

    #[test]
    fn every_other_status_is_denied_by_name_whatever_statement_lies_beside_it() {
        let scene = Scene::new();
        for (status, denied) in [
            (Status::Denied, Denied::OtherKey),
            (Status::Pending, Denied::Pending),
            (Status::Quarantined, Denied::Quarantined),
            (Status::Rejected, Denied::Rejected),
            (Status::Revoked, Denied::Revoked),
        ] {
            let master = scene.master(status, Some(scene.ada.sign(&scene.statement())));
            assert_eq!(scene.ask(&master).unwrap_err(), denied);
        }
        let mut expected = scene.master(Status::Pending, None);
        for record in expected.keys.values_mut() {
            record.key = None;
        }
        assert_eq!(scene.ask(&expected).unwrap_err(), Denied::Unknown);
        let mut barred = scene.master(Status::Accepted, Some(scene.ada.sign(&scene.statement())));
        barred.barred = true;
        assert_eq!(scene.ask(&barred).unwrap_err(), Denied::Revoked);
        assert_eq!(
            scene.ask(&Master::new(scene.id.clone())).unwrap_err(),
            Denied::Unknown
        );
    }

    #[test]
    fn an_accepted_row_without_an_operators_statement_is_worth_nothing() {
        let scene = Scene::new();
        let statement = scene.statement();
        assert_eq!(scene.refused(None), StatementError::NotAnAcceptance);
        let other_ca = TestCa::new().admin("ada").sign(&statement);
        assert!(matches!(
            scene.refused(Some(other_ca)),
            StatementError::Certificate { .. }
        ));
        let by_master = scene.ca.issue(&["mastersign:master:m1"]).sign(&statement);
        assert!(matches!(
            scene.refused(Some(by_master)),
            StatementError::Certificate { .. }
        ));
        let rewritten = SignedStatement {
            statement: statement.to_string(),
            ..scene.ada.sign(&Statement {
                generation: 2,
                ..statement
            })
        };
        assert_eq!(scene.refused(Some(rewritten)), StatementError::Signature);
    }

    #[test]
    fn a_statement_about_something_else_accepts_nothing() {
        let scene = Scene::new();
        let sign = |statement: &Statement| Some(scene.ada.sign(statement));
        let statement = scene.statement();
        let other_store = Uuid::from_u128(8);
        for (changed, expected) in [
            (
                Statement {
                    verb: Verb::Reject,
                    ..statement.clone()
                },
                StatementError::NotAnAcceptance,
            ),
            (
                Statement {
                    store: other_store,
                    ..statement.clone()
                },
                StatementError::OtherStore { named: other_store },
            ),
            (
                Statement {
                    key: Some(KeyHash::new([1; 32])),
                    ..statement.clone()
                },
                StatementError::OtherKey,
            ),
            (
                Statement {
                    master: "m2".parse().unwrap(),
                    ..statement.clone()
                },
                StatementError::OtherMaster,
            ),
            (
                Statement {
                    generation: 2,
                    ..statement.clone()
                },
                StatementError::FromTheFuture,
            ),
        ] {
            assert_eq!(scene.refused(sign(&changed)), expected);
        }
        scene
            .ask(&scene.master(Status::Accepted, sign(&statement)))
            .unwrap();
    }
}
