//! How often refused proofs are recorded.
//!
//! Whoever has a master's certificate can send as many wrong proofs as it likes, and each record is
//! a transaction on the disk for ever. One record for each master and ten minutes says the same,
//! and the next one says how many were left out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::authorize::MasterId;
use crate::clock::Timestamp;

/// Who was refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<MasterId, Lately>>);

#[derive(Debug)]
struct Lately {
    recorded: Timestamp,
    unrecorded: u64,
}

impl Refusals {
    /// Counts a refusal, and says whether it is to be recorded: with how many before it were not.
    pub(super) fn admit(&self, master: &MasterId, now: Timestamp) -> Option<u64> {
        metrics::counter!(REFUSED).increment(1);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lately) = all.get_mut(master) {
            if lately.recorded.distance(now) < PAUSE {
                lately.unrecorded = lately.unrecorded.saturating_add(1);
                return None;
            }
            lately.recorded = now;
            return Some(std::mem::take(&mut lately.unrecorded));
        }
        if all.len() >= MASTERS {
            all.retain(|_, lately| lately.recorded.distance(now) < PAUSE);
        }
        if all.len() >= MASTERS {
            return None;
        }
        let lately = Lately {
            recorded: now,
            unrecorded: 0,
        };
        all.insert(master.clone(), lately);
        Some(0)
    }
}

/// Between two records about one master.
const PAUSE: Duration = Duration::from_secs(600);
/// Whoever has certificates for more masters than this has the masters' authority.
const MASTERS: usize = 4096;
/// Counts refused proofs, recorded or not.
const REFUSED: &str = "mastersign_proofs_refused_total";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds).unwrap()
    }

    #[test]
    fn one_in_ten_minutes_is_recorded_and_the_others_are_counted() {
        let refusals = Refusals::default();
        let (one, two) = ("m1".parse().unwrap(), "m2".parse().unwrap());
        assert_eq!(refusals.admit(&one, at(0)), Some(0));
        assert_eq!(refusals.admit(&one, at(1)), None);
        assert_eq!(refusals.admit(&two, at(2)), Some(0));
        assert_eq!(refusals.admit(&one, at(599)), None);
        assert_eq!(refusals.admit(&one, at(600)), Some(2));
        assert_eq!(refusals.admit(&one, at(601)), None);
    }

    #[test]
    fn more_masters_than_there_are_do_not_fill_the_memory() {
        let refusals = Refusals::default();
        for number in 0..MASTERS {
            let master = format!("m{number}").parse().unwrap();
            assert_eq!(refusals.admit(&master, at(0)), Some(0));
        }
        let late = "late".parse().unwrap();
        assert_eq!(refusals.admit(&late, at(1)), None);
        assert_eq!(refusals.admit(&late, at(601)), Some(0));
        assert_eq!(refusals.0.lock().unwrap().len(), 1);
    }
}
