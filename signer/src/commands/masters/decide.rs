//! From what an operator types to a signed statement about exactly one key.

use std::io::{self, BufRead, IsTerminal};

use minion::verify::{KeyHash, PublicKey};

use super::fingerprint::{Given, GivenError, Name};
use super::listing;
use crate::authorize::{MasterId, SignedStatement, Statement, Verb};
use crate::client::{self, KeyStatus, Master, MasterKey};
use crate::clock::{Clock, SystemClock};
use crate::commands::connection::Connection;
use crate::terminal;

/// What an operator wants to decide.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) verb: Verb,
    pub(super) id: MasterId,
    pub(super) key: Option<String>,
    pub(super) confirm: Option<String>,
    pub(super) dry_run: bool,
}

/// Why nothing is decided before the service is even asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Usage {
    /// `-A`.
    #[error(
        "there is no -A: an accepted master may speak for every minion, so each key is accepted by its name and \
         fingerprint; `mastersign masters list` shows which ones wait"
    )]
    All,
    /// `-d`.
    #[error(
        "there is no -d: what was shown once stays on record. A key that waits and is not wanted is turned down with \
         -r; it can be accepted later"
    )]
    Delete,
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
    #[error(
        "{id} has {count} keys that wait for a decision; name one with --key. What it has:\n\n{shown}"
    )]
    NotOne {
        id: MasterId,
        count: usize,
        shown: String,
    },
    /// No key has this fingerprint.
    #[error("{id} has no key with this fingerprint. What it has:\n\n{shown}")]
    NoSuchKey { id: MasterId, shown: String },
    /// The key cannot be decided about any more.
    #[error("key {0} is revoked, and that is for ever: the master needs a new key")]
    Revoked(KeyHash),
    /// Neither a command nor a letter.
    #[error(
        "say what to do: list, show, fingerprints, accept, reject or revoke, or salt-key's -L, -l, -a, -r, -f or -F; \
         `mastersign masters --help` tells more"
    )]
    Nothing,
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

impl Decision {
    /// Chooses the key, signs the statement and hands it in; `None` if there was nothing to decide.
    pub(super) fn take(
        &self,
        connection: &Connection,
    ) -> anyhow::Result<Result<Option<Master>, Usage>> {
        let store = connection.store()?;
        let master = connection.find(connection.client().master(&self.id))?;
        let key = match self.choose(master.as_ref()) {
            Ok(key) => key,
            Err(usage) => return Ok(Err(usage)),
        };
        if let Some(key) = key
            && key.status == settled(self.verb)
        {
            terminal::note(format_args!("{} is {} already", self.id, past(self.verb)))?;
            return Ok(Ok(None));
        }
        let generation = master.as_ref().map_or(0, |master| master.generation);
        let statement = Statement {
            verb: self.verb,
            store,
            master: self.id.clone(),
            key: key.map(|key| key.sha256),
            generation: generation.saturating_add(1),
            time: SystemClock.now(),
        };
        if self.dry_run {
            terminal::say(format_args!("would sign and send:\n\n{statement}"))?;
            return Ok(Ok(None));
        }
        let credentials = connection.credentials();
        let signed = SignedStatement::sign(
            &statement,
            &credentials.private_key()?,
            credentials.certificate_pem(),
        )?;
        match connection.wait(connection.client().post_statement(&self.id, &signed)) {
            Ok(after) => {
                let what = key.map_or_else(
                    || "as a whole".to_owned(),
                    |key| format!("key {}", key.sha256),
                );
                terminal::note(format_args!("{} {}: {what}", past(self.verb), self.id))?;
                Ok(Ok(Some(after)))
            }
            Err(error) if error.status() == Some(409) => {
                Err(self.conflict(connection, generation, error))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn choose<'m>(&self, master: Option<&'m Master>) -> Result<Option<&'m MasterKey>, Usage> {
        let named = match &self.key {
            Some(text) => {
                let master = master.ok_or_else(|| Usage::UnknownMaster(self.id.clone()))?;
                let (key, form) = find(master, text)?;
                // Nobody is left to tell if standard error is closed.
                let _ = terminal::note(format_args!("{form} names key {}", key.sha256));
                Some(key)
            }
            None if self.verb == Verb::Revoke => None,
            None => {
                let master = master.ok_or_else(|| Usage::UnknownMaster(self.id.clone()))?;
                let key = the_pending_one(master)?;
                ask_about(self.verb, &self.id, key)?;
                Some(key)
            }
        };
        match named {
            Some(key) if key.status == KeyStatus::Revoked && self.verb != Verb::Revoke => {
                Err(Usage::Revoked(key.sha256))
            }
            _ if self.verb == Verb::Revoke => {
                self.confirm_revocation(named)?;
                Ok(named)
            }
            named => Ok(named),
        }
    }

    /// A revocation is for ever, so the id is typed once more.
    fn confirm_revocation(&self, key: Option<&MasterKey>) -> Result<(), Usage> {
        if self.dry_run {
            return Ok(());
        }
        let typed = match &self.confirm {
            Some(typed) => typed.clone(),
            None if !io::stdin().is_terminal() => return Err(Usage::NotConfirmed),
            None => {
                let what = key.map_or_else(
                    || {
                        format!(
                            "{} as a whole, with every key it has or will have,",
                            self.id
                        )
                    },
                    |key| format!("key {} of {}", key.sha256, self.id),
                );
                answer(&format!(
                    "{what} is about to be revoked, for ever. Type the id to confirm:"
                ))
            }
        };
        if typed == self.id.as_str() {
            Ok(())
        } else {
            Err(Usage::NotConfirmed)
        }
    }

    /// A conflict is somebody else's decision if the master's generation moved, and else what the
    /// service says it is.
    fn conflict(
        &self,
        connection: &Connection,
        generation: u64,
        error: client::Error,
    ) -> anyhow::Error {
        let now = connection.wait(connection.client().master(&self.id));
        match now {
            Ok(now) if now.generation != generation => {
                let shown = listing::show(&now).unwrap_or_else(|error| error.to_string());
                anyhow::anyhow!(
                    "somebody else decided about {} meanwhile, so nothing was changed; look and decide again. What holds \
                     now:\n\n{shown}",
                    self.id
                )
            }
            Ok(_) | Err(_) => error.into(),
        }
    }
}

/// The key that a fingerprint names, and by which form.
///
/// One that two keys can share names none, so that nobody takes a match for a proof.
fn find<'m>(master: &'m Master, text: &str) -> Result<(&'m MasterKey, Name), Usage> {
    let given = Given::parse(text).map_err(Usage::Fingerprint)?;
    let shown = || listing::show(master).unwrap_or_else(|error| error.to_string());
    let named = master.keys.iter().find_map(|key| {
        let public = PublicKey::parse(key.public_key.as_ref()?.as_bytes()).ok()?;
        // A key that is not the one it is called is nobody's choice.
        (public.hash() == key.sha256).then_some(())?;
        Some((key, given.matches(&public)?))
    });
    match named {
        Some((key, name)) if name.digest.is_weak() => Err(Usage::Weak {
            id: master.id.clone(),
            key: key.sha256,
            name,
            shown: shown(),
        }),
        Some(found) => Ok(found),
        None => Err(Usage::NoSuchKey {
            id: master.id.clone(),
            shown: shown(),
        }),
    }
}

fn the_pending_one(master: &Master) -> Result<&MasterKey, Usage> {
    let pending: Vec<&MasterKey> = master
        .keys
        .iter()
        .filter(|key| key.status == KeyStatus::Pending)
        .collect();
    match pending.as_slice() {
        [one] => Ok(one),
        several => Err(Usage::NotOne {
            id: master.id.clone(),
            count: several.len(),
            shown: listing::show(master).unwrap_or_else(|error| error.to_string()),
        }),
    }
}

fn ask_about(verb: Verb, id: &MasterId, key: &MasterKey) -> Result<(), Usage> {
    if !io::stdin().is_terminal() {
        return Err(Usage::NoTerminal(key.sha256.to_string()));
    }
    let Ok(described) = listing::describe(key) else {
        return Err(Usage::NotConfirmed);
    };
    let question = format!(
        "The following key is going to be {}:\n{id}\n{described}\n\nCompare one of these with what `salt-key -F` on the \
         master shows for master.pub. Proceed? [y/N]",
        past(verb).to_lowercase()
    );
    match answer(&question).to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Usage::NotConfirmed),
    }
}

/// Asks at the terminal; an end of the input is an empty answer.
fn answer(question: &str) -> String {
    if terminal::note(question).is_err() {
        return String::new();
    }
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) => line.trim().to_owned(),
        Err(_) => String::new(),
    }
}

const fn settled(verb: Verb) -> KeyStatus {
    match verb {
        Verb::Accept => KeyStatus::Accepted,
        Verb::Reject => KeyStatus::Rejected,
        Verb::Revoke => KeyStatus::Revoked,
    }
}

const fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Accept => "accepted",
        Verb::Reject => "rejected",
        Verb::Revoke => "revoked",
    }
}

#[cfg(test)]
mod tests;
