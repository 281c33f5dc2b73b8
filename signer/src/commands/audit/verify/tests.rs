//! A log in a file, altered in every way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tempfile::NamedTempFile;

use super::*;
use crate::audit::{Action, Actor, Digest, Event, Record};
use crate::clock::Timestamp;
use crate::commands::connection::Options;

#[test]
fn any_record_that_is_flipped_removed_repeated_or_moved_is_found() {
    let whole = log("m", 12);
    let end = end_of(&whole);
    let mut runner = TestRunner::new(Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    });
    let edits = (0_u8..4, any::<Index>(), any::<Index>(), 0_u8..8);
    let run = runner.run(&edits, |(kind, at, other, bit)| {
        let mut records = whole.clone();
        let (one, two) = (at.index(records.len()), other.index(records.len()));
        match kind {
            0 => {
                let record = &mut records[one];
                let byte = other.index(record.len());
                record[byte] ^= 1 << bit;
            }
            1 => drop(records.remove(one)),
            2 => {
                let again = records[one].clone();
                records.insert(two, again);
            }
            _ => {
                prop_assume!(one != two);
                records.swap(one, two);
            }
        }
        let found = check(&mut Source::of(records), &[end], &Progress::hidden()).unwrap();
        prop_assert!(found.is_err(), "{kind} {one} {two} {bit}");
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_cut_tail_is_found_by_a_head_and_by_nothing_else() {
    let mut records = log("m", 12);
    let end = end_of(&records);
    records.truncate(9);
    let cut = Altered::Cut { end: 9, known: 12 };
    assert_eq!(
        check(
            &mut Source::of(records.clone()),
            &[end],
            &Progress::hidden()
        )
        .unwrap(),
        Err(cut)
    );
    let shorter = end_of(&records);
    assert_eq!(
        check(&mut Source::of(records), &[], &Progress::hidden()).unwrap(),
        Ok(shorter)
    );
}

#[test]
fn a_log_that_was_written_anew_is_found_by_an_older_head_too() {
    let (before, anew) = (log("m", 12), log("x", 20));
    let heads = [end_of(&before[..5]), end_of(&before)];
    for head in heads {
        let found = check(&mut Source::of(anew.clone()), &[head], &Progress::hidden()).unwrap();
        assert_eq!(found, Err(Altered::Rewritten { seq: head.seq }));
    }
    assert!(
        check(&mut Source::of(anew), &[], &Progress::hidden())
            .unwrap()
            .is_ok()
    );
}

#[test]
fn an_empty_log_is_no_log() {
    assert!(
        check(&mut Source::of(Vec::new()), &[], &Progress::hidden())
            .unwrap()
            .is_err()
    );
}

#[test]
fn a_head_is_read_as_the_log_writes_it() {
    let end = end_of(&log("m", 3));
    assert_eq!(head(&format!("{}:{}", end.seq, end.hash)), Ok(end));
    for wrong in ["", "3", "3:", "x:00", &format!("3:{}", "A".repeat(64))] {
        assert!(head(wrong).is_err(), "{wrong}");
    }
}

impl Source {
    fn of(records: Vec<Vec<u8>>) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        for record in records {
            std::io::Write::write_all(&mut file, &record).unwrap();
            std::io::Write::write_all(&mut file, b"\n").unwrap();
        }
        Self::open(None, Some(file.path().to_owned()), Options::default()).unwrap()
    }
}

fn end_of(records: &[Vec<u8>]) -> Head {
    crate::audit::chain::verify(records.iter().map(Vec::as_slice)).unwrap()
}

fn log(name: &str, length: u64) -> Vec<Vec<u8>> {
    let mut prev = Digest::ZERO;
    let record = |seq| {
        let action = match seq {
            1 => Action::StoreCreated,
            _ => Action::KeyPresented,
        };
        let event = Event {
            time: Timestamp::from_unix(1_795_314_306).unwrap(),
            actor: Actor::service(),
            action,
            subject: format!("{name}{seq}"),
            detail: BTreeMap::new(),
            writes: BTreeMap::new(),
        };
        let bytes = event.chain(seq, prev).to_bytes().unwrap();
        prev = Record::hash(&bytes);
        bytes
    };
    (1..=length).map(record).collect()
}
