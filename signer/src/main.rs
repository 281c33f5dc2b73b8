//! `mastersign`: parse the arguments, run the command, report what failed.

use std::process::ExitCode;

use signer::cli::Cli;
use signer::terminal;

fn main() -> ExitCode {
    match Cli::main() {
        Ok(code) => code,
        Err(error) if terminal::has_seen_enough(&error) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = terminal::refuse(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
