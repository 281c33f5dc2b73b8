//! `mastersign masters`: what salt-key is for minions, for masters.
//!
//! The words and groups are salt-key's, because that is what people know. What is not there is not
//! there on purpose: no `-A`, no `-y`, no patterns. An accepted master may speak for the whole
//! fleet, so an operator names one key.

mod decide;
mod find;
pub mod fingerprint;
mod letters;
mod listing;
mod usage;

use std::process::ExitCode;

use clap::Subcommand;

use super::Output;
use super::connection::{self, Connection};
use crate::authorize::Verb;
use crate::client::Master;
use crate::terminal;
use decide::Decision;
use fingerprint::Given;
use usage::{Usage, master_id};

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
    #[command(flatten)]
    letters: letters::Letters,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every master by what was decided about its keys
    List,
    /// One of the groups of the list
    #[command(skip)]
    Group { group: letters::Group },
    /// List every master with the fingerprints of its keys
    #[command(name = "fingerprints", visible_alias = "finger-all")]
    Fingerprints,
    /// Say whose key has this fingerprint, and which of its fingerprints it is
    Find {
        /// In any form and by any digest that Salt can be set to
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: String,
    },
    /// Show one master with the fingerprints of its keys
    #[command(visible_alias = "finger")]
    Show {
        /// The master
        #[arg(value_name = "ID")]
        id: String,
    },
    #[command(flatten)]
    Decide(Deciding),
}

/// What is decided, and about what.
#[derive(Debug, Subcommand)]
enum Deciding {
    /// Let one key of one master be signed
    Accept(Choice),
    /// Turn one key of one master down; can be changed by accepting it
    Reject(Choice),
    /// Forget one key that waits or was rejected, as if it had never been shown
    #[command(visible_alias = "delete")]
    Forget(Choice),
    /// Move one key to another id, for a master that got a new name; it waits there
    Rename {
        /// The id that the key has
        #[arg(value_name = "ID")]
        id: String,
        /// The id that it gets, which the master's new certificate says
        #[arg(value_name = "NEW-ID")]
        to: String,
        /// The key, by its SHA-256 or any fingerprint
        #[arg(long, value_name = "FINGERPRINT")]
        key: Option<String>,
        /// Print the statement that would be signed; sends nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let a master that was revoked as a whole come back with a new key; the old ones stay revoked
    Reinstate {
        /// The master
        #[arg(value_name = "ID")]
        id: String,
        /// The only key that may wait for a decision then: its SHA-256, or the new master.pub
        #[arg(long, value_name = "SHA256|FILE")]
        new_key: String,
        /// The id once more, instead of typing it when asked
        #[arg(long, value_name = "ID")]
        confirm: Option<String>,
        /// Print the statement that would be signed; sends nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Bar one key for ever, or with no key the whole master until it is reinstated with a new one
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

#[derive(Debug, Default, clap::Args)]
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
    let Arguments {
        connection,
        output,
        letters,
        command,
    } = arguments;
    let command = match (command, letters.command()) {
        (_, Err(usage)) => return refuse(&usage),
        (Some(_), Ok(Some(_))) => return refuse(&Usage::Twice),
        (None, Ok(None)) => return refuse(&Usage::Nothing),
        (Some(command), Ok(None)) | (None, Ok(Some(command))) => command,
    };
    let decision = match command {
        Command::Fingerprints | Command::Group { .. } | Command::List => {
            let connection = Connection::open(connection)?;
            let masters = connection.wait(connection.client().masters())?;
            return list(&command, &masters, output);
        }
        Command::Find { fingerprint } => return find(&fingerprint, connection, output),
        Command::Show { id } => return show(&id, connection, output),
        Command::Decide(decision) => decision.into_decision(),
    };
    let decision = match decision {
        Ok(decision) => decision,
        Err(usage) => return refuse(&usage),
    };
    let connection = Connection::open(connection)?;
    match decision.take(&connection)? {
        Ok(Some(master)) if output == Output::Json => {
            terminal::say(listing::document(&master)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(usage) => refuse(&usage),
    }
}

/// Shows one master.
fn show(id: &str, connection: connection::Options, output: Output) -> anyhow::Result<ExitCode> {
    let id = match master_id(id) {
        Ok(id) => id,
        Err(usage) => return refuse(&usage),
    };
    let connection = Connection::open(connection)?;
    let master = connection.wait(connection.client().master(&id))?;
    match output {
        Output::Json => terminal::say(listing::document(&master)?)?,
        Output::Text => terminal::say(listing::show(&master)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the keys that have this fingerprint.
fn find(
    fingerprint: &str,
    connection: connection::Options,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let given = match Given::parse(fingerprint) {
        Ok(given) => given,
        Err(error) => return refuse(&Usage::Fingerprint(error)),
    };
    let connection = Connection::open(connection)?;
    let masters = connection.wait(connection.client().masters())?;
    let found = find::find(&masters, &given);
    match output {
        Output::Json => terminal::say(find::document(&found))?,
        Output::Text if found.is_empty() => {}
        Output::Text => terminal::say(find::text(&found, &given)?)?,
    }
    if !found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let digest = given.digest();
    terminal::note(format_args!(
        "mastersign: no key of any master has this {digest} fingerprint, whatever it is made of"
    ))?;
    Ok(ExitCode::FAILURE)
}

impl Deciding {
    fn into_decision(self) -> Result<Decision, Usage> {
        match self {
            Self::Accept(choice) => decision(Verb::Accept, choice),
            Self::Reject(choice) => decision(Verb::Reject, choice),
            Self::Forget(choice) => decision(Verb::Forget, choice),
            Self::Rename {
                id,
                to,
                key,
                dry_run,
            } => rename(&id, &to, key, dry_run),
            Self::Reinstate {
                id,
                new_key,
                confirm,
                dry_run,
            } => master_id(&id).map(|id| Decision {
                key: Some(new_key),
                confirm,
                dry_run,
                ..Decision::about(Verb::Reinstate, id)
            }),
            Self::Revoke {
                id,
                key,
                confirm,
                dry_run,
            } => master_id(&id).map(|id| Decision {
                key,
                confirm,
                dry_run,
                ..Decision::about(Verb::Revoke, id)
            }),
        }
    }
}

/// Shows all masters, or one group of them.
fn list(command: &Command, masters: &[Master], output: Output) -> anyhow::Result<ExitCode> {
    let text = match (command, output) {
        (Command::Group { group }, Output::Json) => {
            listing::group_document(masters, *group)?.to_string()
        }
        (Command::Group { group }, Output::Text) => listing::one_group(masters, *group)?,
        (Command::Fingerprints, Output::Text) => listing::fingerprints(masters)?,
        (_, Output::Json) => listing::list_document(masters)?.to_string(),
        (_, Output::Text) => listing::list(masters)?,
    };
    match output {
        Output::Json => terminal::say(text)?,
        Output::Text => terminal::say(listing::painted(&text))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn decision(verb: Verb, choice: Choice) -> Result<Decision, Usage> {
    if choice.yes {
        return Err(Usage::Yes);
    }
    if choice.all {
        return Err(Usage::All);
    }
    let id = master_id(choice.id.as_deref().ok_or(Usage::NoId)?)?;
    Ok(Decision {
        key: choice.key,
        dry_run: choice.dry_run,
        ..Decision::about(verb, id)
    })
}

/// A key moves by a statement about the master that gets it.
fn rename(from: &str, to: &str, key: Option<String>, dry_run: bool) -> Result<Decision, Usage> {
    let (from, to) = (master_id(from)?, master_id(to)?);
    if from == to {
        return Err(Usage::SameName(to));
    }
    Ok(Decision {
        holder: Some(from),
        key,
        dry_run,
        ..Decision::about(Verb::Rename, to)
    })
}

fn refuse(usage: &Usage) -> anyhow::Result<ExitCode> {
    terminal::refuse(usage)?;
    Ok(ExitCode::from(2))
}

const EXIT_CODES: &str = "\
Every decision is signed with the admin's own key, here: the service cannot take one itself.

Exit codes:
  0   done, or nothing to do
  1   failed, somebody else decided meanwhile, or nothing was found
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
        let Some(Command::Decide(Deciding::Accept(choice))) = arguments.command else {
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
            let command = Line::parse_from(line.split(' ')).arguments.command;
            let Some(Command::Decide(Deciding::Accept(choice))) = command else {
                panic!("{line}");
            };
            let usage = decision(Verb::Accept, choice).unwrap_err();
            assert!(usage.to_string().contains(expected), "{line}: {usage}");
        }
    }

    #[test]
    fn salt_keys_letters_are_the_same_commands() {
        let command = |line: &str| {
            let line = Line::try_parse_from(line.split(' ')).unwrap();
            line.arguments.letters.command()
        };
        assert!(matches!(command("masters -L"), Ok(Some(Command::List))));
        assert!(matches!(
            command("masters -F --out json"),
            Ok(Some(Command::Fingerprints))
        ));
        assert!(matches!(command("masters -f m1"), Ok(Some(Command::Show { id })) if id == "m1"));
        let found = command("masters -f 8E:d8:d3");
        assert!(
            matches!(found, Ok(Some(Command::Find { fingerprint })) if fingerprint == "8E:d8:d3")
        );
        assert!(matches!(
            command("masters -l un"),
            Ok(Some(Command::Group { .. }))
        ));
        let accept = command("masters -a m1 --key aa --dry-run");
        let Ok(Some(Command::Decide(Deciding::Accept(choice)))) = accept else {
            panic!("{accept:?}");
        };
        assert_eq!(
            (choice.id.as_deref(), choice.key.as_deref()),
            (Some("m1"), Some("aa"))
        );
        assert!(choice.dry_run);
        let forget = command("masters -d m1 --key aa");
        assert!(
            matches!(&forget, Ok(Some(Command::Decide(Deciding::Forget(choice)))) if choice.id.as_deref() == Some("m1")),
            "{forget:?}"
        );
        assert!(matches!(command("masters"), Ok(None)));
        for (line, expected) in [
            ("masters -A", "there is no -A"),
            ("masters -a m1 -y", "there is no -y"),
            ("masters -D", "no -D"),
            ("masters -d m1 -y", "there is no -y"),
            ("masters -a m1 -r m2", "one thing at a time"),
        ] {
            let usage = command(line).unwrap_err().to_string();
            assert!(usage.contains(expected), "{line}: {usage}");
        }
    }
}
