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
    clap_mangen::generate_to(line, directory)
        .with_context(|| format!("failed to write to {}", directory.display()))?;
    Ok(fs::read_dir(directory)?.count())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        pages(directory.path(), Cli::command()).unwrap();
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
