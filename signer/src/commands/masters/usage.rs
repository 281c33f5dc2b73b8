//! What an operator is told when nothing is decided.

use minion::verify::KeyHash;

use super::fingerprint::{GivenError, Name};
use crate::authorize::MasterId;
use crate::client;

/// Why nothing is decided before the service is even asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Usage {
    /// `-A`.
    #[error(
        "there is no -A: an accepted master may speak for every minion, so each key is accepted by its name and \
         fingerprint; `mastersign masters list` shows which ones wait"
    )]
    All,
    /// A fingerprint that names nothing.
    #[error("{0}")]
    Fingerprint(GivenError),
    /// A pattern.
    #[error(
        "{0:?} is a pattern, and masters are not decided about by patterns: one that fits today fits a master that \
         somebody else adds tomorrow. Name one"
    )]
    Glob(String),
    /// Not a name.
    #[error(
        "{0:?} is no name of a master: 1 to 253 characters of A-Z, a-z, 0-9, dot, underscore and hyphen"
    )]
    Id(String),
    /// The file of a new key cannot be read.
    #[error(
        "--new-key is the key's SHA-256 or a public key in a file, and {file} is neither: {why}"
    )]
    NewKey {
        /// What was given.
        file: String,
        /// What the reader says.
        why: String,
    },
    /// `-R` or `-D`.
    #[error("there is no -R and no -D: each key is decided about by its name and fingerprint")]
    Many,
    /// No id at all.
    #[error("name the master: `mastersign masters accept ID --key FINGERPRINT`")]
    NoId,
    /// Nobody to ask.
    #[error(
        "standard input is no terminal, so nobody can compare fingerprints; name the key: --key {0}"
    )]
    NoTerminal(String),
    /// The operator said no, or something else.
    #[error("not confirmed; nothing was decided")]
    NotConfirmed,
    /// No or several candidates.
    #[error("{id} has {count} keys that {what}; name one with --key. What it has:\n\n{shown}")]
    NotOne {
        id: MasterId,
        count: usize,
        what: &'static str,
        shown: String,
    },
    /// Only what was revoked as a whole is reinstated.
    #[error("{0} is not revoked as a whole, so there is nothing to lift")]
    NotBarred(MasterId),
    /// No key has this fingerprint.
    #[error("{id} has no key with this fingerprint. What it has:\n\n{shown}")]
    NoSuchKey { id: MasterId, shown: String },
    /// The key cannot be decided about any more.
    #[error("key {0} is revoked, and that is for ever: the master needs a new key")]
    Revoked(KeyHash),
    /// Neither a command nor a letter.
    #[error(
        "say what to do: list, show, find, fingerprints, accept, reject, forget, rename, revoke or reinstate, or salt-key's \
         -L, -l, -a, -r, -d, -f or -F; `mastersign masters --help` tells more"
    )]
    Nothing,
    /// A new name that is the old one.
    #[error("{0} is the name that the key has already")]
    SameName(MasterId),
    /// Two commands at once.
    #[error("one thing at a time: there are two commands in this line")]
    Twice,
    /// MD5 or SHA-1 of a key that is there.
    #[error(
        "this is {name} of key {key}, and it decides nothing: another key with the same {digest} can be made. Compare a \
         SHA-256 with the master's console, `salt-key -f master.pub` with hash_type: sha256, and name the key by \
         that. What {id} has:\n\n{shown}",
        digest = .name.digest
    )]
    Weak {
        id: MasterId,
        key: KeyHash,
        name: Name,
        shown: String,
    },
    /// A master that the service does not know.
    #[error(
        "the service knows no master {0}; it appears when `mastersign fetch` runs on it for the first time"
    )]
    UnknownMaster(MasterId),
    /// `-y`.
    #[error(
        "there is no -y: accepting is comparing a fingerprint. In a script, name the key that was compared: \
         --key FINGERPRINT"
    )]
    Yes,
}

/// Reads the name of one master.
pub(super) fn master_id(text: &str) -> Result<MasterId, Usage> {
    if text.contains(['*', '?', '[', ',']) {
        return Err(Usage::Glob(client::printable(text)));
    }
    text.parse().map_err(|_| Usage::Id(client::printable(text)))
}
