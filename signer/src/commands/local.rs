//! Leaving notes for the audit log about a command that was run on this machine.
//!
//! A command that changes something leaves one before it begins and one when it has ended: a key
//! that is in the token when the command is killed is in the log all the same.
//!
//! Commands that touch keys in an HSM or make certificates are as much part of the story as what
//! the service does. They name the configuration, it names the state directory, and the note waits
//! there for the service. A machine that has no configuration has no audit log either: certificates
//! that are made there are in their authority's own list.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use uuid::Uuid;

use crate::audit::{Actor, Inbox, Note};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::telemetry::Chain;
use crate::terminal;

/// A command that will have been run.
#[derive(Debug)]
pub(crate) struct Pending {
    command: String,
    arguments: String,
    config: PathBuf,
}

impl Pending {
    /// The command, if it is one of those that are recorded.
    pub(crate) fn of(matches: &ArgMatches, line: impl Iterator<Item = OsString>) -> Option<Self> {
        let (group, inner) = matches.subcommand()?;
        let (name, leaf) = inner.subcommand()?;
        let is_recorded = match group {
            "hsm" => true,
            "pki" => !["check", "list"].contains(&name),
            _ => false,
        };
        // The child that `hsm` starts is the same command once more.
        let is_child = matches!(inner.try_get_one::<bool>("inside"), Ok(Some(true)));
        if !is_recorded || is_child {
            return None;
        }
        // `ConfigArgument` stands in one of the two, with its default or its variable.
        let config = [leaf, inner]
            .into_iter()
            .find_map(|matches| matches.try_get_one::<PathBuf>("path").ok().flatten())?;
        Some(Self {
            command: format!("{group} {name}"),
            arguments: shown(line),
            config: config.clone(),
        })
    }

    /// Leaves the first note of a command that changes something. That it cannot be left is said
    /// and keeps nobody from the work: there may be no state directory yet.
    pub(crate) fn begin(self) -> Begun {
        let state_dir = match Config::load(&self.config) {
            Ok(config) => Some(config.state_dir),
            Err(error) => {
                if fs::exists(&self.config).unwrap_or(true) {
                    unrecorded(format_args!(
                        "the configuration, which says where that is, cannot be used: {}",
                        Chain(&error)
                    ));
                }
                None
            }
        };
        // Notes of one second are recorded in the order of their ids.
        let mut ids = [Uuid::new_v4(), Uuid::new_v4()];
        ids.sort_unstable();
        let [first, last] = ids;
        let changes = CHANGES.contains(&self.command.as_str());
        let mut begun = Begun {
            command: self.command,
            arguments: self.arguments,
            state_dir,
            first: None,
            last,
        };
        if changes && begun.leave(first, "begun") {
            begun.first = Some(first);
        }
        begun
    }
}

/// A command that is being run.
#[derive(Debug)]
pub(crate) struct Begun {
    command: String,
    arguments: String,
    /// None if no configuration says where it is.
    state_dir: Option<PathBuf>,
    /// The first note, if one was left.
    first: Option<Uuid>,
    /// What the note at the end is called.
    last: Uuid,
}

impl Begun {
    /// Leaves the note at the end. The command is over, so whatever fails here is said and changes
    /// nothing.
    pub(crate) fn ended(self, result: &anyhow::Result<ExitCode>) {
        let succeeded = matches!(result, Ok(code) if *code == ExitCode::SUCCESS);
        self.leave(self.last, if succeeded { "done" } else { "failed" });
    }

    fn leave(&self, id: Uuid, outcome: &str) -> bool {
        let Some(state_dir) = &self.state_dir else {
            return false;
        };
        let mut detail = BTreeMap::from([
            ("arguments".to_owned(), self.arguments.clone()),
            ("outcome".to_owned(), outcome.to_owned()),
        ]);
        if let Some(first) = self.first {
            detail.insert("begun".to_owned(), first.to_string());
        }
        let note = Note {
            id,
            time: SystemClock.now(),
            actor: Actor::local(nix::unistd::getuid().as_raw()),
            command: self.command.clone(),
            detail,
        };
        match Inbox::new(state_dir).leave(&note) {
            Ok(()) => true,
            Err(error) => {
                unrecorded(format_args!(
                    "cannot leave a note in {}: {error}",
                    state_dir.display()
                ));
                false
            }
        }
    }
}

fn unrecorded(why: fmt::Arguments<'_>) {
    // Nobody is left to tell if standard error is closed.
    let _ = terminal::refuse(format_args!("this is not in the audit log: {why}"));
}

/// The arguments without the values that a module's vendor may have put a secret into; PINs and
/// passphrases are never arguments.
fn shown(line: impl Iterator<Item = OsString>) -> String {
    let mut words = Vec::new();
    let mut is_hidden = false;
    for word in line.skip(1) {
        let word = word.to_string_lossy().into_owned();
        let hides = |name: &&&str| word.starts_with(**name);
        if std::mem::take(&mut is_hidden) {
            words.push("…".to_owned());
        } else if let Some(name) = HIDDEN.iter().find(hides) {
            words.push(format!("{name}…"));
            is_hidden = word == *name;
        } else {
            words.push(word);
        }
    }
    let mut text = words.join(" ");
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= LONGEST);
    text.truncate(end.unwrap_or(text.len()));
    text
}

/// The commands that change a token, an authority or a latch. The others look and make trial
/// signatures; `unlock` changes what the running service records itself.
const CHANGES: [&str; 7] = [
    "hsm import",
    "hsm init",
    "hsm unlatch",
    "pki crl",
    "pki init",
    "pki issue",
    "pki revoke",
];
/// What these say goes to the module.
const HIDDEN: [&str; 2] = ["--env", "--init-args"];
/// A record is kept for ever.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split(' ').map(OsString::from)
    }

    #[test]
    fn what_goes_to_the_module_is_not_shown() {
        assert_eq!(
            shown(words(
                "mastersign hsm test --env PIN=1234 --init-args=pin:5678 --hsm a"
            )),
            "hsm test --env… … --init-args… --hsm a"
        );
    }

    /// The two commands' own subcommands, of which each is in the list or is none that changes.
    #[test]
    fn every_command_that_is_recorded_is_known_to_change_something_or_not() {
        use clap::CommandFactory;
        let command = crate::cli::Cli::command();
        let looks = [
            "hsm adopt",
            "hsm bench",
            "hsm list",
            "hsm report",
            "hsm test",
            "hsm unlock",
            "pki check",
            "pki list",
        ];
        let mut known: Vec<String> = CHANGES
            .iter()
            .chain(&looks)
            .map(ToString::to_string)
            .collect();
        known.sort();
        let mut found = Vec::new();
        for group in ["hsm", "pki"] {
            let below = command.find_subcommand(group).unwrap().get_subcommands();
            found.extend(below.map(|leaf| format!("{group} {}", leaf.get_name())));
        }
        found.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn a_line_without_end_is_cut_between_characters() {
        let text = shown(words(&format!("mastersign {}", "ä".repeat(2000))));
        assert_eq!(text, "ä".repeat(LONGEST / 2));
    }
}
