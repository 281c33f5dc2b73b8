//! `mastersign-minion`: parse the arguments, run the command, report what failed.

use std::process::ExitCode;

use clap::Parser;
use minion::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            minion::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
