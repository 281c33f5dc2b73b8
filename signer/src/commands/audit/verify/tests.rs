//! A log in a file, altered in every way.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::testing::log;
use super::*;

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
        let mut source = Source::of(records);
        let found = check(&mut source, &[end], &Progress::hidden()).unwrap();
        if (kind, one) == (1, 0) {
            // Not altered, but not from the beginning, which is said.
            prop_assert_eq!(found, Ok(end));
            prop_assert_eq!(source.before().map(|head| head.seq), Some(1));
        } else {
            prop_assert!(found.is_err(), "{kind} {one} {two} {bit}");
        }
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
fn an_export_of_a_later_part_is_judged_from_its_first_record_on() {
    let whole = log("m", 12);
    let (end, fifth) = (end_of(&whole), end_of(&whole[..5]));
    let judge = |records: &[Vec<u8>], heads: &[Head]| {
        let mut source = Source::of(records.to_vec());
        let found = check(&mut source, heads, &Progress::hidden()).unwrap();
        (source.before(), found)
    };
    let part = &whole[5..];
    for heads in [&[][..], &[end], &[fifth], &[end_of(&whole[..2])]] {
        assert_eq!(judge(part, heads), (Some(fifth), Ok(end)), "{heads:?}");
    }
    let (_, found) = judge(part, &[end_of(&log("x", 5))]);
    assert_eq!(found, Err(Altered::Rewritten { seq: 5 }));
    for at in 0..part.len() {
        let mut edited = part.to_vec();
        let middle = edited[at].len() / 2;
        edited[at][middle] ^= 1;
        assert!(judge(&edited, &[end]).1.is_err(), "{at}");
    }
    let mut gap = part.to_vec();
    gap.remove(3);
    assert!(judge(&gap, &[]).1.is_err());
    let (before, found) = judge(&whole, &[end]);
    assert_eq!((before, found), (None, Ok(end)));
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

fn end_of(records: &[Vec<u8>]) -> Head {
    crate::audit::chain::verify(records.iter().map(Vec::as_slice)).unwrap()
}
