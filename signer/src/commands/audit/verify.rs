//! `mastersign audit verify`: whether the log is the one that was written.
//!
//! The chain finds every edit before its end by itself. About its end it can say nothing, and a
//! chain has no key: a tail that was cut off and a log that was written anew are chains as well. So
//! the answer says what was not judged, unless a head from elsewhere judges it.

use std::fmt;
use std::process::ExitCode;

use super::{ALTERED, Source};
use crate::audit::chain::{Broken, Cause, Head, Verifier};
use crate::terminal::{self, Progress};

/// Reads `SEQ:HASH`.
pub(super) fn head(text: &str) -> Result<Head, String> {
    let (seq, hash) = text
        .split_once(':')
        .ok_or("a head is SEQ:HASH, as in the log lines with target `audit`")?;
    Ok(Head {
        seq: seq.parse().map_err(|error| format!("SEQ: {error}"))?,
        hash: hash.parse().map_err(|error| format!("HASH: {error}"))?,
    })
}

pub(super) fn run(source: &mut Source, heads: &[Head]) -> anyhow::Result<ExitCode> {
    // Before the records, so that what is written meanwhile is no mismatch.
    let stored = source.head()?;
    let mut known = heads.to_vec();
    known.extend(stored);
    let last = stored.map_or_else(|| source.known_length(), |head| head.seq);
    let progress = Progress::of("checking the audit log", last);
    let checked = check(source, &known, &progress)?;
    drop(progress);
    match checked {
        Ok(Head { seq, hash }) => {
            terminal::say(format_args!(
                "records 1 to {seq}: none was changed, removed, added or moved; the log ends at \
                 {seq}:{hash}"
            ))?;
            match heads.iter().max_by_key(|head| head.seq) {
                Some(last) => terminal::say(format_args!(
                    "up to record {} it is the log of the head that you gave; what comes after \
                     that, no head vouches for",
                    last.seq
                ))?,
                None => terminal::say(UNJUDGED)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(altered) => {
            terminal::refuse(altered)?;
            Ok(ExitCode::from(ALTERED))
        }
    }
}

fn check(
    source: &mut Source,
    known: &[Head],
    progress: &Progress,
) -> anyhow::Result<Result<Head, Altered>> {
    let mut verifier = Verifier::default();
    let mut after = 0;
    loop {
        let page = source.page(after)?;
        if page.is_empty() {
            break;
        }
        for bytes in page {
            if let Err(broken) = verifier.push(&bytes) {
                return Ok(Err(Altered::Chain(broken)));
            }
            let Some(head) = verifier.head() else {
                continue;
            };
            after = head.seq;
            if known
                .iter()
                .any(|known| known.seq == head.seq && *known != head)
            {
                return Ok(Err(Altered::Rewritten { seq: head.seq }));
            }
        }
        progress.at(after);
    }
    let Some(end) = verifier.head() else {
        return Ok(Err(Altered::Chain(Broken {
            seq: 1,
            cause: Cause::Missing,
        })));
    };
    match known.iter().find(|known| known.seq > end.seq) {
        Some(beyond) => Ok(Err(Altered::Cut {
            end: end.seq,
            known: beyond.seq,
        })),
        None => Ok(Ok(end)),
    }
}

/// What was done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Altered {
    Chain(Broken),
    Cut { end: u64, known: u64 },
    Rewritten { seq: u64 },
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(broken) => write!(f, "the log was altered: {broken}: {}", broken.cause),
            Self::Cut { end, known } => write!(
                f,
                "the log was cut off: it ends at record {end}, and record {known} was in it"
            ),
            Self::Rewritten { seq } => write!(
                f,
                "the log was written anew: its record {seq} is another one than the head says"
            ),
        }
    }
}

const UNJUDGED: &str = "not judged: whether records were cut off at the end, or the whole log was \
    written anew. That takes a head from a log that is kept elsewhere (lines with target `audit`): \
    --head SEQ:HASH";

#[cfg(test)]
mod tests;
