//! Taking the notes of commands that were run beside the service into the audit log.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::audit::Inbox;
use crate::store::Store;
use crate::telemetry::Chain;

/// Looks for notes until it is stopped.
pub(super) async fn collect(inbox: Inbox, store: Store, stop: CancellationToken) {
    let pause = || stop.run_until_cancelled(tokio::time::sleep(PAUSE));
    take(&inbox, &store).await;
    while pause().await.is_some() {
        take(&inbox, &store).await;
    }
}

async fn take(inbox: &Inbox, store: &Store) {
    let notes = match inbox.notes() {
        Ok(notes) => notes,
        Err(error) => {
            tracing::warn!(%error, "the notes for the audit log cannot be read");
            return;
        }
    };
    for (path, note) in notes {
        if let Err(error) = store.ran_command(&note).await {
            tracing::error!(error = %Chain(&error), "a note for the audit log was not recorded");
            return;
        }
        if let Err(error) = inbox.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "a recorded note cannot be removed");
        }
    }
}

/// Nobody waits for it.
const PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::audit::{Action, Actor, Note, Record};
    use crate::authorize::testing::TestCa;
    use crate::clock::{Clock, SystemClock};
    use crate::store::{Backend, Memory};

    async fn open(backend: &Arc<Memory>) -> Store {
        let operators = Arc::new(TestCa::new().operators());
        let backend = Arc::clone(backend) as Arc<dyn Backend>;
        let store = Store::open(backend, operators, Arc::new(SystemClock), None);
        store.await.unwrap()
    }

    #[tokio::test]
    async fn a_note_is_recorded_once_even_if_it_comes_back() {
        let state_dir = tempfile::TempDir::new().unwrap();
        let (inbox, memory) = (Inbox::new(state_dir.path()), Arc::default());
        let note = Note {
            id: Uuid::new_v4(),
            time: SystemClock.now(),
            actor: Actor::service(),
            command: "hsm init".to_owned(),
            detail: BTreeMap::from([("outcome".to_owned(), "done".to_owned())]),
        };
        let store = open(&memory).await;
        for _ in 0..2 {
            inbox.leave(&note).unwrap();
            take(&inbox, &store).await;
            assert!(inbox.notes().unwrap().is_empty());
        }
        // Also by a store that was opened later.
        let store = open(&memory).await;
        inbox.leave(&note).unwrap();
        take(&inbox, &store).await;
        let records = store.records(1, std::num::NonZeroUsize::MAX).await.unwrap();
        let [record] = &records[..] else {
            panic!("{records:?}");
        };
        let record = Record::from_bytes(record).unwrap();
        assert_eq!(
            (record.action, record.subject),
            (Action::LocalCommand, note.command)
        );
        assert_eq!(record.detail["outcome"], "done");
    }
}
