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
    let mut after = begin(source, arguments.lines)?;
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

/// Behind which record the last `lines` ones begin.
fn begin(source: &mut Source, lines: u64) -> anyhow::Result<u64> {
    let end = source.head()?.map(|head| head.seq);
    let end = end.unwrap_or_else(|| source.known_length());
    Ok(end.saturating_sub(lines))
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

#[cfg(test)]
mod tests {
    use super::super::verify::testing::log;
    use super::*;

    #[test]
    fn the_last_records_of_an_export_are_the_last_ones() {
        for (records, wanted, after) in [(12, 10, 2), (3, 10, 0), (12, 0, 12)] {
            let mut source = Source::of(log("m", records));
            assert_eq!(begin(&mut source, wanted).unwrap(), after);
        }
    }
}
