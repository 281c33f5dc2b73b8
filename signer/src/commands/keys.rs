//! `mastersign keys`: the signing keys, as those see them who have to trust one.

mod export;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::Output;
use super::connection::{self, Connection};
use crate::terminal;

/// The arguments of `mastersign keys`.
#[derive(Debug, clap::Args)]
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a signing key in the form in which minions get it
    Export(export::Arguments),
    /// List the service's signing keys
    List,
}

/// Runs `mastersign keys`.
///
/// # Errors
///
/// Whatever the service refused, or why a file is no key.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Export(export) => export::run(&export, arguments.connection),
        Command::List => {
            let connection = Connection::open_as_anybody(arguments.connection)?;
            let answer = connection.wait(connection.client().signing_keys())?;
            match arguments.output {
                Output::Json => {
                    let keys: Vec<_> = answer
                        .signing_keys
                        .iter()
                        .map(|key| json!({"id": key.id.to_string(), "state": key.state}))
                        .collect();
                    terminal::say(json!({"store": answer.store, "signing_keys": keys}))?;
                }
                Output::Text => {
                    terminal::say(format_args!("store {}", answer.store))?;
                    for key in &answer.signing_keys {
                        terminal::say(format_args!("{}  {}", key.id, key.state))?;
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
