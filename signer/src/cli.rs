//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::terminal::Colours;

/// Signs the public keys of accepted Salt masters with a key that never leaves its HSM.
#[derive(Debug, Parser)]
#[command(name = "mastersign", version, max_term_width = 100)]
pub struct Cli {
    /// When colours are shown; the environment's `NO_COLOR` and `CLICOLOR_FORCE` count as well
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        global = true,
        overrides_with = "color",
        help_heading = "Output"
    )]
    color: Colours,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on a throw-away SoftHSM token: try it out
    Dev(commands::dev::Arguments),
    /// Run the signing service
    Serve(commands::serve::Arguments),
    /// Look at everything from here, and say what to do about what is wrong
    Doctor(commands::doctor::Arguments),
    /// Make, list and test signing keys in an HSM
    Hsm(commands::hsm::Arguments),
    /// Make and inspect the certificates of masters, operators and the service
    Pki(commands::pki::Arguments),
    /// List masters' keys and decide about them
    Masters(commands::masters::Arguments),
    /// Read and check the audit log
    Audit(commands::audit::Arguments),
    /// Say what a problem or an exit code means, and what to do
    Explain(commands::explain::Arguments),
    /// Show signing keys, and print one in the form in which minions get it
    Keys(commands::keys::Arguments),
    /// On a master: fetch its signature and write the file that salt-master serves
    Fetch(commands::fetch::Arguments),
    /// Print the description of the API for programs, `OpenAPI` 3.1
    Openapi,
    /// On a master: keep its signature fresh, and tell Salt to serve it
    Watch(commands::watch::Arguments),
    /// On a master: write a request for a signer without a network
    Request(commands::request::Arguments),
    /// On a signer without a network: sign the key of one request
    Sign(commands::sign::Arguments),
    /// Check any signature, offline
    Verify(commands::verify::Arguments),
    /// Print the completions for a shell
    Completions(commands::completions::Arguments),
    /// Write the man pages
    Man(commands::man::Arguments),
    /// The process that talks to one HSM; started by `serve`
    #[command(hide = true)]
    HsmWorker(commands::hsm_worker::Arguments),
}

impl Cli {
    /// Reads the command line, runs the command, and leaves notes of it where they are due.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn main() -> anyhow::Result<ExitCode> {
        let colours = Colours::among(std::env::args_os());
        colours.apply();
        let matches = Self::command().color(colours.of_clap()).get_matches();
        let pending = commands::local::Pending::of(&matches, std::env::args_os());
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let begun = pending.map(commands::local::Pending::begin);
        let result = cli.run();
        if let Some(begun) = begun {
            begun.ended(&result);
        }
        result
    }

    /// Runs the command that was given.
    ///
    /// # Errors
    ///
    /// Whatever the command could not do; the message is for the person at the terminal.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Audit(arguments) => commands::audit::run(arguments),
            Command::Dev(arguments) => commands::dev::run(arguments),
            Command::Serve(arguments) => commands::serve::run(arguments),
            Command::Doctor(arguments) => commands::doctor::run(arguments),
            Command::Hsm(arguments) => commands::hsm::run(arguments),
            Command::Pki(arguments) => commands::pki::run(arguments),
            Command::Masters(arguments) => commands::masters::run(arguments),
            Command::Explain(arguments) => commands::explain::run(arguments),
            Command::Keys(arguments) => commands::keys::run(arguments),
            Command::Fetch(arguments) => commands::fetch::run(arguments),
            Command::Openapi => commands::openapi::run(),
            Command::Watch(arguments) => commands::watch::run(arguments),
            Command::Request(arguments) => commands::request::run(arguments),
            Command::Sign(arguments) => commands::sign::run(&arguments),
            Command::Verify(arguments) => commands::verify::run(&arguments),
            Command::Completions(arguments) => {
                commands::completions::run(&arguments, &mut Self::command())
            }
            Command::Man(arguments) => commands::man::run(&arguments, Self::command()),
            Command::HsmWorker(arguments) => commands::hsm_worker::run(arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_private_key_has_one_name_and_those_it_had_before_go_on_working() {
        for line in [
            "mastersign fetch --private-key K",
            "mastersign fetch --key K",
            "mastersign watch --key K",
            "mastersign request --store 6f1c2a34-0000-4000-8000-0123456789ab --key K",
            "mastersign doctor master --key K",
            "mastersign pki check h:1 --certificate C --private-key K",
            "mastersign pki check h:1 --cert C --key K",
            "mastersign masters list --private-key K",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }
}
