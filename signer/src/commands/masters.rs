//! `mastersign masters`: what salt-key is for minions, for masters.
//!
//! The words and groups are salt-key's, because that is what people know. What is not there is not
//! there on purpose: no `-A`, no `-y`, no patterns. An accepted master may speak for the whole
//! fleet, so an operator names one key.

mod decide;
mod fingerprint;
mod listing;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::connection::{self, Connection};
use crate::authorize::Verb;
use crate::terminal;
use decide::{Decision, Usage};

/// The arguments of `mastersign masters`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: connection::Options,
    /// The form of the answer
    #[arg(
        long,
        visible_alias = "out",
        value_enum,
        default_value_t,
        global = true
    )]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Sentences.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every master by what was decided about its keys
    List,
    /// Show one master with the fingerprints of its keys
    Show {
        /// The master
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Let one key of one master be signed
    Accept(Choice),
    /// Turn one key of one master down; can be changed by accepting it
    Reject(Choice),
    /// Bar one key, or with no key the whole master, for ever
    Revoke {
        /// The master
        #[arg(value_name = "ID")]
        id: String,
        /// The key, by its SHA-256 or any fingerprint; without it the whole id and all its keys
        /// are barred
        #[arg(long, value_name = "FINGERPRINT")]
        key: Option<String>,
        /// The id once more, instead of typing it when asked
        #[arg(long, value_name = "ID")]
        confirm: Option<String>,
        /// Print the statement that would be signed; sends nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Choice {
    /// The master
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The key, by its SHA-256 or any fingerprint that Salt or OpenSSL shows
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
    /// Print the statement that would be signed; sends nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'y', long = "yes", hide = true)]
    yes: bool,
    /// Does not exist here; accepted only to say why
    #[arg(short = 'A', long = "all", visible_alias = "accept-all", hide = true)]
    all: bool,
}

/// Runs `mastersign masters`.
///
/// # Errors
///
/// Whatever the service refused, or why a key could not be chosen.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let output = arguments.output;
    let decision = match arguments.command {
        Command::List => {
            let connection = Connection::open(arguments.connection)?;
            let masters = connection.wait(connection.client().masters())?;
            match output {
                Output::Json => terminal::say(listing::list_document(&masters)?)?,
                Output::Text => terminal::say(listing::list(&masters)?)?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Show { id } => {
            let id = match decide::master_id(&id) {
                Ok(id) => id,
                Err(usage) => return refuse(&usage),
            };
            let connection = Connection::open(arguments.connection)?;
            let master = connection.wait(connection.client().master(&id))?;
            match output {
                Output::Json => terminal::say(listing::document(&master)?)?,
                Output::Text => terminal::say(listing::show(&master)?)?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Accept(choice) => decision(Verb::Accept, choice),
        Command::Reject(choice) => decision(Verb::Reject, choice),
        Command::Revoke {
            id,
            key,
            confirm,
            dry_run,
        } => decide::master_id(&id).map(|id| Decision {
            verb: Verb::Revoke,
            id,
            key,
            confirm,
            dry_run,
        }),
    };
    let decision = match decision {
        Ok(decision) => decision,
        Err(usage) => return refuse(&usage),
    };
    let connection = Connection::open(arguments.connection)?;
    match decision.take(&connection)? {
        Ok(Some(master)) if output == Output::Json => {
            terminal::say(listing::document(&master)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(usage) => refuse(&usage),
    }
}

fn decision(verb: Verb, choice: Choice) -> Result<Decision, Usage> {
    if choice.yes {
        return Err(Usage::Yes);
    }
    if choice.all {
        return Err(Usage::All);
    }
    let id = decide::master_id(choice.id.as_deref().ok_or(Usage::NoId)?)?;
    Ok(Decision {
        verb,
        id,
        key: choice.key,
        confirm: None,
        dry_run: choice.dry_run,
    })
}

fn refuse(usage: &Usage) -> anyhow::Result<ExitCode> {
    terminal::note(format_args!("mastersign: {usage}"))?;
    Ok(ExitCode::from(2))
}

const EXIT_CODES: &str = "\
Every decision is signed with the admin's own key, here: the service cannot take one itself.

Exit codes:
  0   done, or nothing to do
  1   failed, or somebody else decided meanwhile
  2   wrong usage, or not confirmed";

#[cfg(test)]
mod tests {
    use clap::{Args, CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Line::command().debug_assert();
        Arguments::augment_args(clap::Command::new("masters")).debug_assert();
    }

    #[test]
    fn the_key_of_a_master_and_the_key_of_the_admin_are_two_options() {
        let line = "masters accept m1 --key aa --private-key admin.key --out json";
        let arguments = Line::parse_from(line.split(' ')).arguments;
        assert_eq!(arguments.output, Output::Json);
        let Command::Accept(choice) = arguments.command else {
            panic!("{arguments:?}");
        };
        assert_eq!(choice.key.as_deref(), Some("aa"));
    }

    #[test]
    fn habits_that_do_not_exist_here_are_answered_and_not_obeyed() {
        for (line, expected) in [
            ("masters accept m1 -y", "there is no -y"),
            ("masters accept -A", "there is no -A"),
            ("masters accept m*", "is a pattern"),
            ("masters accept m1,m2", "is a pattern"),
            ("masters accept", "name the master"),
            ("masters accept m/1", "no name of a master"),
        ] {
            let Command::Accept(choice) = Line::parse_from(line.split(' ')).arguments.command
            else {
                panic!("{line}");
            };
            let usage = decision(Verb::Accept, choice).unwrap_err();
            assert!(usage.to_string().contains(expected), "{line}: {usage}");
        }
    }
}
