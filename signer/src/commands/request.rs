//! `mastersign request`, on a master: a request for a signer without a network, as a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use uuid::Uuid;

use super::fetch::SettingsArguments;
use crate::clock::SystemClock;
use crate::fetch::Prepared;
use crate::terminal;

/// The arguments of `mastersign request`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// The signer's store.id
    #[arg(long, value_name = "UUID")]
    store: Uuid,
    /// Where the request is written; the file must not exist. Without it, it is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `mastersign request`.
///
/// # Errors
///
/// Whatever is wrong with this master's files.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // As whoever started this: afterwards only the owner of pki_dir is left.
    let file = arguments
        .out
        .as_ref()
        .map(|path| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(path)
                .with_context(|| format!("failed to create {}", path.display()))
        })
        .transpose()?;
    let written = request(arguments.settings, arguments.store).and_then(|(key, text)| {
        match file {
            Some(mut file) => file.write_all(text.as_bytes()).context("failed to write")?,
            None => terminal::say(text.trim_end())?,
        }
        Ok(key)
    });
    match written {
        Ok(key) => {
            terminal::note(format_args!(
                "carry it to the signer, and there, after comparing the key {key}:\n\n    mastersign sign REQUEST \
                 --accept {key} --admin-certificate … --admin-key …\n\nThen bring the answer back: mastersign fetch \
                 --from ANSWER"
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if let Some(path) = &arguments.out {
                // It is empty, and the next run says that it exists.
                let _ = std::fs::remove_file(path);
            }
            Err(error)
        }
    }
}

fn request(settings: SettingsArguments, store: Uuid) -> anyhow::Result<(String, String)> {
    let settings = settings.partial()?.complete_without_service()?;
    let fetch = Prepared::read(settings)?.enter()?;
    for warning in fetch.warnings() {
        terminal::note(format_args!("warning: {warning}"))?;
    }
    let request = fetch.request(store, &SystemClock)?;
    let mut text = serde_json::to_string_pretty(&request)?;
    text.push('\n');
    Ok((fetch.key().hash().to_string(), text))
}
