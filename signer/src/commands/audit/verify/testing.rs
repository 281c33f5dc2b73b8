//! Logs for the tests of those who read them.

use std::collections::BTreeMap;

use tempfile::NamedTempFile;

use super::Source;
use crate::audit::{Action, Actor, Digest, Event, Record};
use crate::clock::Timestamp;
use crate::commands::connection::Options;

impl Source {
    pub(in crate::commands::audit) fn of(records: Vec<Vec<u8>>) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        for record in records {
            std::io::Write::write_all(&mut file, &record).unwrap();
            std::io::Write::write_all(&mut file, b"\n").unwrap();
        }
        Self::open(None, Some(file.path().to_owned()), Options::default()).unwrap()
    }
}

pub(in crate::commands::audit) fn log(name: &str, length: u64) -> Vec<Vec<u8>> {
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
