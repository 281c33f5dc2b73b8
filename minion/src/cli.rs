//! The command line of `mastersign-minion`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands::{check, masters, run, verify};
use crate::config::{self, Config, Overrides};
use crate::log;

/// A Salt minion that answers to masters whose keys one signing key vouches for.
#[derive(Debug, Parser)]
#[command(name = "mastersign-minion", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say of each master whether it verifies, with this minion's own key; writes nothing
    Check(check::Arguments),
    /// Show what the running minion is doing with each master
    Masters(masters::Arguments),
    /// Sign in to a master, answer its jobs, and find another when it is lost
    Run(run::Arguments),
    /// Check a signature file offline
    Verify(verify::Arguments),
}

impl Cli {
    /// Runs the command and tells the exit code.
    ///
    /// # Errors
    ///
    /// Fails if the command could not begin; what it found out is its exit code.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(arguments) => check::run(&arguments),
            Command::Masters(arguments) => masters::run(&arguments),
            Command::Run(arguments) => run::run(&arguments),
            Command::Verify(arguments) => verify::run(&arguments),
        }
    }
}

/// Where the configuration is, for every command that reads it.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgument {
    /// The directory of Salt's file `minion`
    #[arg(short = 'c', long, value_name = "DIR", default_value = "/etc/salt")]
    config_dir: PathBuf,
}

impl ConfigArgument {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// Names the file and the option, what was found there and what to write instead.
    pub fn load(&self, overrides: &Overrides) -> anyhow::Result<Config> {
        Ok(config::load(&self.config_dir.join("minion"), overrides)?)
    }
}

/// What the command line says about the log, under the names of salt-minion.
#[derive(Args, Clone, Debug)]
pub struct LogArguments {
    /// The least severe level that is shown: trace, debug, info, warning, error, critical or quiet
    #[arg(short = 'l', long, value_name = "LEVEL")]
    log_level: Option<log::Level>,

    /// Write the log into this file instead of the configured one
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// The least severe level that is written into the file
    #[arg(long, value_name = "LEVEL")]
    log_file_level: Option<log::Level>,

    /// The form of the lines
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<log::Style>,
}

impl From<&LogArguments> for Overrides {
    fn from(arguments: &LogArguments) -> Self {
        Self {
            log_level: arguments.log_level,
            log_file: arguments.log_file.clone(),
            log_file_level: arguments.log_file_level,
            log_format: arguments.log_format,
        }
    }
}

/// Tells a person why nothing was done.
#[expect(
    clippy::print_stderr,
    reason = "there may be no log yet, and standard error is what a supervisor keeps"
)]
pub fn complain(error: &anyhow::Error) {
    eprintln!("mastersign-minion: {error:#}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;
    use crate::failover::Exit;

    #[test]
    fn each_exit_code_is_explained() {
        let page = include_str!("../../docs/problems.md");
        let command = Cli::command();
        let mut found = 0;
        for below in command.get_subcommands() {
            let help = below.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let Some((_, codes)) = help.split_once("Exit codes") else {
                continue;
            };
            for line in codes.lines().skip(1) {
                let code = line.split_whitespace().next().unwrap();
                assert!(page.contains(&format!("\n### exit-{code}\n")), "{line}");
                found += 1;
            }
        }
        assert!(found > 10, "{found}");
        // Those of `run` are salt-minion's and stand in docs/salt-compatibility.md.
        for exit in [
            Exit::NoMaster,
            Exit::NoPermission,
            Exit::Unresolved,
            Exit::Untrusted,
        ] {
            assert!(page.contains(&format!("\n### exit-{}\n", exit.code())));
        }
    }
}
