//! An operator's decision about one key of one master, signed by the operator.
//!
//! The decision is a text of seven lines under the operator's own key, so that neither a row in the
//! database nor a captured web process can make one. The service and the HSM worker check it with
//! the same function.

mod sign;

use std::fmt;
use std::str::FromStr;

use minion::verify::KeyHash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MasterId;
use crate::clock::Timestamp;

pub use sign::SignError;

/// What an operator decides about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// The key may be signed.
    Accept,
    /// The key, which waits or was rejected, is forgotten as if it had never been shown.
    Forget,
    /// A revoked id is one again, for a new key that it will show. Its revoked keys stay revoked.
    Reinstate,
    /// The key may not be signed; the decision can be changed.
    Reject,
    /// The key, which another id showed, is this one's from now on, and waits for a decision.
    Rename,
    /// The key, or with no key the whole id, is barred for ever.
    Revoke,
}

impl Verb {
    /// The word in the statement.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Forget => "forget",
            Self::Reinstate => "reinstate",
            Self::Reject => "reject",
            Self::Rename => "rename",
            Self::Revoke => "revoke",
        }
    }
}

/// The content of a decision.
///
/// As text: `mastersign-statement-v1`, verb, store uuid, master id, key sha256 (`*` in a revocation
/// of the whole id), generation and UTC time, each line ended by LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The decision.
    pub verb: Verb,
    /// The store it is for; a statement of one installation says nothing in another.
    pub store: Uuid,
    /// The master.
    pub master: MasterId,
    /// The key; none only in a revocation of the whole id.
    pub key: Option<KeyHash>,
    /// One more than the number of decisions taken about this id before, so that an old decision
    /// cannot come back.
    pub generation: u64,
    /// When the operator signed.
    pub time: Timestamp,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            store,
            master,
            key,
            generation,
            time,
        } = self;
        write!(
            f,
            "{HEADER}\n{}\n{}\n{master}\n",
            verb.name(),
            store.hyphenated()
        )?;
        match key {
            Some(hash) => writeln!(f, "{hash}")?,
            None => writeln!(f, "*")?,
        }
        write!(f, "{generation}\n{time}\n")
    }
}

impl FromStr for Statement {
    type Err = StatementError;

    /// Reads exactly what `Display` writes and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || StatementError::Malformed;
        let mut lines = text.split_terminator('\n');
        let mut line = || lines.next().ok_or_else(malformed);
        if line()? != HEADER {
            return Err(malformed());
        }
        let verb = match line()? {
            "accept" => Verb::Accept,
            "forget" => Verb::Forget,
            "reinstate" => Verb::Reinstate,
            "reject" => Verb::Reject,
            "rename" => Verb::Rename,
            "revoke" => Verb::Revoke,
            _ => return Err(malformed()),
        };
        let store = Uuid::parse_str(line()?).map_err(|_| malformed())?;
        let master = line()?.parse().map_err(|_| malformed())?;
        let key = match line()? {
            "*" if verb == Verb::Revoke => None,
            hash => Some(hash.parse().map_err(|_| malformed())?),
        };
        let generation = line()?.parse().map_err(|_| malformed())?;
        let time = line()?.parse().map_err(|_| malformed())?;
        let statement = Self {
            verb,
            store,
            master,
            key,
            generation,
            time,
        };
        if statement.to_string() == text {
            Ok(statement)
        } else {
            Err(malformed())
        }
    }
}

/// A statement with the signature and certificate that make it one, as it is sent and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The exact text of the [`Statement`].
    pub statement: String,
    /// ECDSA P-256 with SHA-256 over the text, ASN.1 DER (RFC 3279, section 2.2.3), in standard
    /// base64.
    pub signature: String,
    /// The operator's certificate in PEM.
    pub certificate: String,
}

/// Why a statement counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The certificate is not an admin's under the operators' CA, at the statement's time.
    #[error("the statement's certificate is not an admin's under the operators' CA: {reason}")]
    Certificate {
        /// What the chain check or the identity check found.
        reason: String,
    },
    /// An acceptance that was numbered for decisions not taken yet.
    #[error("the statement's generation is beyond the master's")]
    FromTheFuture,
    /// Not the seven lines of a statement.
    #[error("the text is not a mastersign-statement-v1")]
    Malformed,
    /// A good statement, but none that accepts a key.
    #[error("the statement is not an acceptance")]
    NotAnAcceptance,
    /// An acceptance of another key.
    #[error("the statement accepts another key")]
    OtherKey,
    /// A statement about another master.
    #[error("the statement is about another master")]
    OtherMaster,
    /// A statement for another installation.
    #[error("the statement is for the store {named}, which is another one")]
    OtherStore {
        /// The store that the statement names.
        named: Uuid,
    },
    /// The signature is not by the certificate's key over this text.
    #[error("the statement's signature does not verify under its certificate")]
    Signature,
}

const HEADER: &str = "mastersign-statement-v1";
