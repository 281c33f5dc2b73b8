//! What is said about a key that was not born in its token.

use std::path::Path;

use cryptoki::object::AttributeType;
use minion::verify::Fingerprint;
use serde_json::json;

use super::section::section;
use super::target::Target;
use super::{Output, attributes};
use crate::hsm::token::{Module, SigningKey, TokenInfo};
use crate::terminal;

/// A key that works, and where it is.
pub(super) struct Adopted<'a> {
    pub(super) target: &'a Target,
    pub(super) module: &'a Module,
    pub(super) token: &'a TokenInfo,
    pub(super) key: &'a SigningKey,
    pub(super) public_key_file: &'a Path,
    /// What the trial signatures showed.
    pub(super) compared: &'static str,
    /// What was done, as the first word of the answer.
    pub(super) word: &'static str,
    pub(super) dropped: &'a [AttributeType],
}

impl Adopted<'_> {
    pub(super) fn tell(&self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::Json => self.json(),
            Output::Text => self.text(),
        }
    }

    fn section(&self) -> String {
        let uri = attributes::key_uri(self.token, self.key, self.module.path());
        let verdict = self.key.attributes.verdict();
        let file = self.public_key_file;
        section(self.target, &self.token.label, &uri, file, &verdict)
    }

    fn dropped(&self) -> Vec<String> {
        self.dropped.iter().map(ToString::to_string).collect()
    }

    fn json(&self) -> anyhow::Result<()> {
        terminal::say(json!({
            "token": attributes::token_json(self.token),
            "key": attributes::key_json(self.key),
            "dropped": self.dropped(),
            "trial_signatures": self.compared,
            "uri": attributes::key_uri(self.token, self.key, self.module.path()).to_string(),
            "public_key_file": self.public_key_file,
            "section": self.section(),
            "copies_may_exist": true,
        }))?;
        Ok(())
    }

    fn text(&self) -> anyhow::Result<()> {
        let key = self.key;
        let id = key.id.as_ref().map(ToString::to_string).unwrap_or_default();
        terminal::say(format_args!(
            "{} the RSA-{} key {} in the token {}.\n  id: {id}\n  label: {:?}",
            self.word,
            key.public.bits(),
            key.public.hash(),
            self.token,
            key.label
        ))?;
        for line in attributes::attributes_lines(&key.attributes) {
            terminal::say(format_args!("  {line}"))?;
        }
        if !self.dropped.is_empty() {
            terminal::say(format_args!(
                "  not set, because the module refuses them: {}",
                self.dropped().join(" ")
            ))?;
        }
        terminal::say(format_args!("  verdict: {}", key.attributes.verdict()))?;
        terminal::say(format_args!(
            "  trial signatures over its own public half: {}",
            self.compared
        ))?;
        terminal::say(format_args!(
            "\nIts public half is {}, as the minions have it in master_sign.pub.\n  Salt's \
             fingerprint: {}",
            self.public_key_file.display(),
            Fingerprint::salt(&key.public)
        ))?;
        terminal::say(format_args!(
            "\nFor mastersign.toml:\n\n{}\n\n{WARNING}",
            self.section()
        ))?;
        Ok(())
    }
}

/// What was compared if the file is at hand.
pub(super) const SAME: &str = "by the file and by the token, byte for byte the same";

/// What has to be said plainly.
pub(super) const WARNING: &str = "\
This key was a file. Copies of it may exist outside the token: on every master, in backups, images and
snapshots. Whoever has one can pose as a master to every minion that trusts the key, and no token, no
service and no revocation changes that. Delete master_sign.pem on every master and in every backup that you
can reach (`mastersign doctor master` finds the ones on a master), and plan the change to a key that
was born in the HSM (`mastersign hsm init`): only that ends it.";
