//! From what an operator types to a signed statement about exactly one key.

mod choice;

use std::io::{self, BufRead, IsTerminal};

use minion::verify::KeyHash;

use super::listing;
use super::usage::Usage;
use crate::authorize::{MasterId, SignedStatement, Statement, Verb};
use crate::client::{self, KeyStatus, Master, MasterKey};
use crate::clock::{Clock, SystemClock};
use crate::commands::connection::Connection;
use crate::terminal;
use choice::{Chosen, named, new_key, the_only_one};

/// What an operator wants to decide.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) verb: Verb,
    pub(super) id: MasterId,
    /// The id whose key it is, where that is another one.
    pub(super) holder: Option<MasterId>,
    pub(super) key: Option<String>,
    pub(super) confirm: Option<String>,
    pub(super) dry_run: bool,
}

impl Decision {
    /// A decision that names no key yet.
    pub(super) const fn about(verb: Verb, id: MasterId) -> Self {
        Self {
            verb,
            id,
            holder: None,
            key: None,
            confirm: None,
            dry_run: false,
        }
    }

    /// Chooses the key, signs the statement and hands it in; `None` if there was nothing to decide.
    pub(super) fn take(
        &self,
        connection: &Connection,
    ) -> anyhow::Result<Result<Option<Master>, Usage>> {
        let store = connection.store()?;
        let master = connection.find(connection.client().master(&self.id))?;
        let from = match &self.holder {
            Some(holder) => connection.find(connection.client().master(holder))?,
            None => master.clone(),
        };
        let key = match self.choose(from.as_ref()) {
            Ok(Chosen::Settled) => {
                terminal::note(format_args!("{} is {} already", self.id, past(self.verb)))?;
                return Ok(Ok(None));
            }
            Ok(Chosen::Key(hash)) => Some(hash),
            Ok(Chosen::Whole) => None,
            Err(usage) => return Ok(Err(usage)),
        };
        let generation = master.as_ref().map_or(0, |master| master.generation);
        let statement = Statement {
            verb: self.verb,
            store,
            master: self.id.clone(),
            key,
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
                self.tell(key)?;
                Ok(Ok(Some(after)))
            }
            Err(error) if error.status() == Some(409) => {
                Err(self.conflict(connection, generation, error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says what was done, and what is left to do.
    fn tell(&self, key: Option<KeyHash>) -> io::Result<()> {
        let what = key.map_or_else(|| "as a whole".to_owned(), |key| format!("key {key}"));
        let id = &self.id;
        let done = past(self.verb);
        terminal::note(format_args!("{done} {id}: {what}"))?;
        match self.verb {
            Verb::Rename => terminal::note(format_args!(
                "it is accepted for no id now; `mastersign masters accept {id} --key {}` goes on",
                key.map(|key| key.to_string()).unwrap_or_default()
            )),
            Verb::Reinstate => terminal::note(
                "the key waits for a decision once `mastersign fetch` or `watch` showed it. The certificate that the \
                 master had counts again: if it was stolen, `mastersign pki revoke` it and issue another",
            ),
            Verb::Accept | Verb::Forget | Verb::Reject | Verb::Revoke => Ok(()),
        }
    }

    /// The key that this is about; `master` is the one whose key it is.
    fn choose(&self, master: Option<&Master>) -> Result<Chosen, Usage> {
        match self.verb {
            Verb::Accept | Verb::Forget | Verb::Reject | Verb::Rename => {
                let id = self.holder.as_ref().unwrap_or(&self.id);
                let master = master.ok_or_else(|| Usage::UnknownMaster(id.clone()))?;
                let key = match &self.key {
                    Some(text) => named(master, text)?,
                    None => {
                        let key = the_only_one(self.verb, master)?;
                        self.ask_about(&master.id, key)?;
                        key
                    }
                };
                match (self.verb, key.status) {
                    (_, KeyStatus::Revoked) => Err(Usage::Revoked(key.sha256)),
                    (Verb::Accept, KeyStatus::Accepted) | (Verb::Reject, KeyStatus::Rejected) => {
                        Ok(Chosen::Settled)
                    }
                    _ => Ok(Chosen::Key(key.sha256)),
                }
            }
            Verb::Reinstate => {
                let master = master.ok_or_else(|| Usage::UnknownMaster(self.id.clone()))?;
                if !master.barred {
                    return Err(Usage::NotBarred(self.id.clone()));
                }
                let hash = new_key(self.key.as_deref().unwrap_or_default())?;
                if master.keys.iter().any(|key| key.sha256 == hash) {
                    return Err(Usage::Revoked(hash));
                }
                self.confirm(&format!(
                    "{} is about to count again, with the new key {hash} only, which then waits for a decision. Type \
                     the id to confirm:",
                    self.id
                ))?;
                Ok(Chosen::Key(hash))
            }
            Verb::Revoke => self.choose_to_revoke(master),
        }
    }

    fn choose_to_revoke(&self, master: Option<&Master>) -> Result<Chosen, Usage> {
        let Some(text) = &self.key else {
            self.confirm(&format!(
                "{} as a whole, with every key it has or will have, is about to be revoked: its keys for ever, the id \
                 until `masters reinstate` names a new key. Type the id to confirm:",
                self.id
            ))?;
            return Ok(Chosen::Whole);
        };
        let master = master.ok_or_else(|| Usage::UnknownMaster(self.id.clone()))?;
        let key = named(master, text)?;
        self.confirm(&format!(
            "key {} of {} is about to be revoked, for ever. Type the id to confirm:",
            key.sha256, self.id
        ))?;
        Ok(match key.status {
            KeyStatus::Revoked => Chosen::Settled,
            _ => Chosen::Key(key.sha256),
        })
    }

    /// What cannot be taken back needs the id once more.
    fn confirm(&self, question: &str) -> Result<(), Usage> {
        if self.dry_run {
            return Ok(());
        }
        let typed = match &self.confirm {
            Some(typed) => typed.clone(),
            None if !io::stdin().is_terminal() => return Err(Usage::NotConfirmed),
            None => answer(question),
        };
        if typed == self.id.as_str() {
            Ok(())
        } else {
            Err(Usage::NotConfirmed)
        }
    }

    fn ask_about(&self, holder: &MasterId, key: &MasterKey) -> Result<(), Usage> {
        if !io::stdin().is_terminal() {
            return Err(Usage::NoTerminal(key.sha256.to_string()));
        }
        let Ok(described) = listing::describe(key) else {
            return Err(Usage::NotConfirmed);
        };
        let question = self.question(holder, &described);
        match answer(&question).to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Usage::NotConfirmed),
        }
    }

    /// salt-key's question, and what will be so after a yes.
    fn question(&self, holder: &MasterId, described: &str) -> String {
        let after = match self.verb {
            Verb::Accept => format!(
                "{holder} gets a signature that every minion believes, as soon as it asks. Compare one of these with \
                 what `salt-key -F` on the master shows for master.pub."
            ),
            Verb::Forget => format!(
                "It is off the lists, and its place is free. If {holder} shows it again, it waits again; to keep it \
                 out, reject it."
            ),
            Verb::Reject => format!(
                "{holder} gets no signature for it. It stays on the list and can be accepted later."
            ),
            Verb::Rename => format!(
                "It moves from {holder} to {}, whose certificate then asks for its signature, and waits there until it \
                 is accepted. Files that masters and minions have stay as they are.",
                self.id
            ),
            Verb::Reinstate | Verb::Revoke => String::new(),
        };
        format!(
            "The following key is going to be {}:\n{holder}\n{described}\n\n{after}\n\nProceed? [y/N]",
            past(self.verb)
        )
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

const fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Accept => "accepted",
        Verb::Forget => "forgotten",
        Verb::Reinstate => "reinstated",
        Verb::Reject => "rejected",
        Verb::Rename => "renamed",
        Verb::Revoke => "revoked",
    }
}

#[cfg(test)]
mod tests;
