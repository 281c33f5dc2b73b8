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
            let before = source.before().map_or(0, |head| head.seq);
            terminal::say(format_args!(
                "records {} to {seq}: none was changed, removed, added or moved; the log ends at \
                 {seq}:{hash}",
                before.saturating_add(1)
            ))?;
            if before > 0 {
                terminal::say(format_args!(
                    "not judged: records 1 to {before}, which are not in this file. Whether they \
                     should be is for you to know: `audit export --after {before}` leaves them out"
                ))?;
            }
            let in_it = heads.iter().filter(|head| head.seq >= before);
            match in_it.max_by_key(|head| head.seq) {
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
    let before = source.before();
    if let Some(before) = before
        && is_another(known, before)
    {
        return Ok(Err(Altered::Rewritten { seq: before.seq }));
    }
    let mut verifier = before.map_or_else(Verifier::default, Verifier::after);
    let mut after = 0_u64;
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
            after = after.saturating_add(1);
            if is_another(known, head) {
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

/// Whether one of these heads says that another record stands in this place.
fn is_another(known: &[Head], head: Head) -> bool {
    let contradicts = |known: &Head| known.seq == head.seq && *known != head;
    known.iter().any(contradicts)
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
pub(super) mod testing;
#[cfg(test)]
mod tests;
