//! `mastersign completions`: what a shell has to know to complete a line.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::terminal;

/// The arguments of `mastersign completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which shell: `mastersign completions bash > /etc/bash_completion.d/mastersign`
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
///
/// Fails if standard output is closed or the script is no text.
pub fn run(arguments: &Arguments, line: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, line, "mastersign", &mut script);
    terminal::say(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_shell_gets_every_command_and_no_hidden_one() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mastersign", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["doctor", "masters", "unlock", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
