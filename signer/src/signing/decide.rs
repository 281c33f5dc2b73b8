//! Taking an operator's decision.
//!
//! The statement alone is proof of who decided. That it comes over the same admin's own connection,
//! for the master in the path and soon after it was signed, keeps a statement that somebody else
//! got hold of from being handed in later.

use std::sync::Arc;

use super::{DecisionError, Service};
use crate::authorize::{MasterId, Proof, SignedStatement, StatementError};
use crate::store::Master;

impl Service {
    /// Checks a statement and puts it into force.
    ///
    /// # Errors
    ///
    /// Says what does not hold; if another decision came first,
    /// [`store::DecideError`](crate::store::DecideError) carries the current generation to sign
    /// anew with.
    pub async fn decide(
        &self,
        admin: &str,
        master: &MasterId,
        signed: &SignedStatement,
    ) -> Result<Arc<Master>, DecisionError> {
        let checked = self.parts.operators.check(signed)?;
        let statement = checked.statement();
        if checked.admin() != admin {
            return Err(DecisionError::OtherAdmin {
                signer: checked.admin().to_owned(),
                caller: admin.to_owned(),
            });
        }
        if statement.master != *master {
            return Err(DecisionError::OtherMaster {
                path: master.clone(),
                statement: statement.master.clone(),
            });
        }
        if statement.store != self.parts.store.uuid() {
            return Err(DecisionError::Statement(StatementError::OtherStore {
                named: statement.store,
            }));
        }
        let ours = self.parts.clock.now();
        let skew = statement.time.distance(ours);
        if skew > Proof::TOLERANCE {
            return Err(DecisionError::Skewed {
                ours,
                seconds: skew.as_secs(),
            });
        }
        Ok(self.parts.store.decide(checked).await?)
    }

    /// Puts a statement into force that its signer hands in here, on the machine of the store.
    ///
    /// # Errors
    ///
    /// As [`decide`](Self::decide).
    pub async fn decide_here(
        &self,
        signed: &SignedStatement,
    ) -> Result<Arc<Master>, DecisionError> {
        let checked = self.parts.operators.check(signed)?;
        let statement = checked.statement();
        if statement.store != self.parts.store.uuid() {
            return Err(DecisionError::Statement(StatementError::OtherStore {
                named: statement.store,
            }));
        }
        Ok(self.parts.store.decide(checked).await?)
    }
}
