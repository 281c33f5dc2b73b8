//! `mastersign man`: a page for each command, from the same text as `--help`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::terminal;

/// The arguments of `mastersign man`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The directory for the pages, like /usr/local/share/man/man1; made if it is missing. Without
    /// it the first page is printed
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes the pages.
///
/// # Errors
///
/// Fails if a file cannot be written.
pub fn run(arguments: &Arguments, line: clap::Command) -> anyhow::Result<ExitCode> {
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(line).render(&mut page)?;
        terminal::say(String::from_utf8_lossy(&page).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to make {}", directory.display()))?;
    let written = pages(directory, line)?;
    terminal::say(format_args!(
        "wrote {written} pages to {}",
        directory.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn pages(directory: &Path, line: clap::Command) -> anyhow::Result<usize> {
    let mut line = line.disable_help_subcommand(true);
    line.build();
    write(directory, &line).with_context(|| format!("failed to write to {}", directory.display()))
}

/// Writes the page of a command and those of what is below it; how many they are.
fn write(directory: &Path, command: &clap::Command) -> std::io::Result<usize> {
    let mut written = 1_usize;
    for inner in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        written = written.saturating_add(write(directory, inner)?);
    }
    clap_mangen::Man::new(command.clone()).generate_to(directory)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ls.1"), "another's page").unwrap();
        let written = pages(directory.path(), Cli::command()).unwrap();
        let there = directory.path().read_dir().unwrap().count();
        assert_eq!(written + 1, there, "the other one was there before");
        for name in [
            "mastersign.1",
            "mastersign-masters-accept.1",
            "mastersign-doctor-master.1",
        ] {
            let page = fs::read_to_string(directory.path().join(name)).unwrap();
            assert!(page.starts_with(".ie") || page.contains(".TH"), "{name}");
        }
        assert!(!directory.path().join("mastersign-hsm-worker.1").exists());
    }
}
