//! `mastersign audit tail`.

use std::process::ExitCode;

use super::Source;
use crate::audit::Record;
use crate::telemetry::Escaped;
use crate::terminal;

/// The arguments of `mastersign audit tail`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many records
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: u64,
    /// Go on with what is recorded from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// The records as they are hashed
    #[arg(long)]
    json: bool,
}

pub(super) fn run(source: &mut Source, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let end = source.head()?.map(|head| head.seq);
    let mut after = end.unwrap_or_default().saturating_sub(arguments.lines);
    loop {
        let page = source.page(after)?;
        let is_end = page.is_empty();
        for bytes in page {
            after = after.saturating_add(1);
            if arguments.json {
                terminal::say(String::from_utf8_lossy(&bytes))?;
            } else {
                terminal::say(sentence(&bytes))?;
            }
        }
        if !is_end {
            continue;
        }
        if !arguments.follow {
            return Ok(ExitCode::SUCCESS);
        }
        source.pause();
    }
}

fn sentence(bytes: &[u8]) -> String {
    match Record::from_bytes(bytes) {
        Ok(record) => format!(
            "{} {} {} {} by {}",
            record.seq,
            record.time,
            record.action,
            Escaped(&record.subject),
            Escaped(&record.actor.identity),
        ),
        Err(error) => format!("? {error}; `mastersign audit verify` says more"),
    }
}
